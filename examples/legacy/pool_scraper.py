#!/usr/bin/env python3
"""Collect the bars of every symbol, with a pool of processes.

    pool_scraper.py http://127.0.0.1:8000 [PROCESSES]

Each worker keeps a requests.Session of its own, made when it starts. Prints a table, and exits with
the number of symbols that could not be had.
"""

import csv
import io
import multiprocessing
import sys

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

session = None
base = None


def start(url):
    """Make this worker's session."""
    global session, base
    session = requests.Session()
    session.headers["User-Agent"] = "pool-scraper/1.2"
    session.mount("http://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[503])))
    base = url


def symbols(url):
    """Yield all symbols, page after page."""
    page = "/symbols?page=1"
    while page:
        answer = requests.get(url + page, timeout=10).json()
        yield from answer["symbols"]
        page = answer.get("next")


def collect(symbol):
    """Return symbol, closing price, volume and number of days, or the error."""
    try:
        quote = session.get(f"{base}/quote/{symbol}", timeout=10)
        quote.raise_for_status()
        bars = session.get(f"{base}/bars/{symbol}", params={"interval": "1d"}, timeout=10).json()
        with session.get(f"{base}/history/{symbol}.csv", stream=True, timeout=10) as history:
            history.encoding = "utf-8"
            lines = "\n".join(history.iter_lines(decode_unicode=True))
            days = list(csv.DictReader(io.StringIO(lines)))
        if symbol.startswith("B"):
            # The service with the corporate actions is down now and then.
            session.get(f"{base}/flaky", timeout=10).raise_for_status()
        return symbol, bars["bars"][-1]["close"], sum(int(d["volume"]) for d in days), len(days)
    except (requests.RequestException, KeyError, ValueError) as exc:
        return symbol, f"{type(exc).__name__}"


def main():
    url = sys.argv[1].rstrip("/")
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    failed = 0
    with multiprocessing.get_context("spawn").Pool(processes, start, (url,)) as pool:
        for symbol, *found in pool.imap(collect, symbols(url)):
            if len(found) == 1:
                failed += 1
                print(f"{symbol}: {found[0]}", file=sys.stderr)
            else:
                print(f"{symbol}  {found[0]:>10.2f}  {found[1]:>12,}  {found[2]:>4}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
