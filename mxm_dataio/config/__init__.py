"""Settings, and what is typed for them in each face."""
