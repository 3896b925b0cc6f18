"""``http.client`` and ``urllib.request``: how their calls are seen and answered."""
