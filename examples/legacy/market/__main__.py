"""``python -m market``, which is what the console script calls too."""

import argparse
import json
import sys

from . import __version__
from .client import Client


def parser():
    made = argparse.ArgumentParser(prog="market")
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    made.add_argument("--base", default="http://127.0.0.1:8000")
    commands = made.add_subparsers(dest="command", required=True)
    quote = commands.add_parser("quote")
    quote.add_argument("symbols", nargs="+")
    calendar = commands.add_parser("calendar")
    calendar.add_argument("--twice", action="store_true")
    return made


def main(arguments=None):
    options = parser().parse_args(arguments)
    client = Client(options.base)
    if options.command == "calendar":
        first = client.get("/calendar")
        print(*json.loads(first.data)["holidays"], sep="\n")
        if options.twice:
            again = client.pool.request(
                "GET", client.base + "/calendar", headers={"If-None-Match": first.headers["ETag"]}
            )
            print(f"asked again: {again.status}", file=sys.stderr)
        return 0
    for symbol in options.symbols:
        print(symbol, client.get(f"/quote/{symbol}").data.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
