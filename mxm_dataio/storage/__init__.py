"""What a store is made of."""
