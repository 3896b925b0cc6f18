"""What an open session is made of."""
