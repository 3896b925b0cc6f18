"""A program under capture, unchanged."""
