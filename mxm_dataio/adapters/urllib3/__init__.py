"""urllib3's pools and connections: how their calls are seen and answered."""
