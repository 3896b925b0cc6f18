"""The HTML page on a session."""
