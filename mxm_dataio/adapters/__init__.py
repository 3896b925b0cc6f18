"""Where the calls are seen and answered: urllib3's connections, and requests' adapters."""
