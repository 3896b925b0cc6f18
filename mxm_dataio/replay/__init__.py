"""Which stored answer a call gets."""
