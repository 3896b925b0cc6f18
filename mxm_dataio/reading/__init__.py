"""What is shown of a store, without a terminal."""
