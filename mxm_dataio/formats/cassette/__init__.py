"""The text format of cassettes: one JSON file for git."""
