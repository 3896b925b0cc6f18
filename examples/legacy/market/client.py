"""What the commands call."""

import urllib3


class Client:
    def __init__(self, base):
        self.base = base.rstrip("/")
        self.pool = urllib3.PoolManager(headers={"User-Agent": "market-cli/2.1"})

    def get(self, path, **fields):
        answer = self.pool.request("GET", self.base + path, fields=fields)
        if answer.status >= 400:
            raise SystemExit(f"market: {path}: HTTP {answer.status}")
        return answer
