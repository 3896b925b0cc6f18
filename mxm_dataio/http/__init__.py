"""What an HTTP message is made of."""
