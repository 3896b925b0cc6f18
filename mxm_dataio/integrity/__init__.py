"""Is what is stored what was recorded."""
