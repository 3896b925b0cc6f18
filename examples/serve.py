"""The market server on a port of your choice, to try the documentation's examples against.

python -m examples.serve [PORT]
"""

from __future__ import annotations

import sys

from examples import market_server


class _Server(market_server._Server):
    """The market server's own, on a fixed port."""

    port = 8000

    def server_bind(self) -> None:
        """Bind to the fixed port in place of a free one."""
        self.server_address = ("127.0.0.1", self.port)
        super().server_bind()


def main(port: int = 8000) -> None:
    """Serve until interrupted."""
    _Server.port = port
    with _Server() as server:
        print(f"serving on http://127.0.0.1:{server.server_port}, Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
