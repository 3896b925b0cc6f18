"""Sessions, requests and responses as rows in SQLite."""
