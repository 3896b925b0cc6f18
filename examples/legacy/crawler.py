#!/usr/bin/env python3
"""Follow every link of a site with nothing but the standard library, and say what was found.

    crawler.py http://127.0.0.1:8000 [DEPTH]

Prints one line for each page: status, size, type and address. Exits with 1 if any was missing.
"""

import http.client
import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser


class Links(HTMLParser):
    """Collects what anchors point to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def robots(base):
    """Ask for robots.txt by hand, as one did."""
    parts = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", "/robots.txt", headers={"User-Agent": "crawler/0.9"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, len(body)


def fetch(opener, url):
    """Return status, final address, type and body of a page."""
    request = urllib.request.Request(url, headers={"User-Agent": "crawler/0.9"})
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.geturl(), answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, url, error.headers.get_content_type(), error.read()


def main():
    base = sys.argv[1].rstrip("/")
    depth = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    opener = urllib.request.build_opener()
    print("robots.txt: {}, {} bytes".format(*robots(base)))
    waiting, seen, missing = [(base + "/", 0), (base + "/nowhere", depth)], set(), 0
    while waiting:
        url, level = waiting.pop(0)
        if url in seen:
            continue
        seen.add(url)
        status, final, kind, body = fetch(opener, url)
        missing += status >= 400
        print(f"{status} {len(body):>6} {kind:<18} {final[len(base) :]}")
        if kind == "text/html" and level < depth:
            links = Links()
            links.feed(body.decode("utf-8", "replace"))
            waiting += [(urllib.parse.urljoin(final, link), level + 1) for link in links.found]
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
