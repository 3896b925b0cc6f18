"""``params_hash``, version 1: when are two calls the same call?

The SHA-256 of the RFC 8785 canonical JSON of one document:

    {"v": 1, "method": …, "endpoint": …, "params": …, "body": …, "headers": …}

- **method**: upper case.
- **endpoint**: scheme and host lower-case, the host as A-labels, IPv6 compressed; default port,
  userinfo, query and fragment dropped; an empty path is ``/``; percent-encoding normalised
  (RFC 3986 §6.2.2: unreserved characters decoded, hex digits upper-case, what may not stand
  bare encoded). Dot segments stay: what goes on the wire differs. Text without ``://`` is a
  fetcher's own name for something and stays as it is.
- **params**: decoded ``[name, value]`` pairs, sorted by name, values of one name in their order.
  ``+`` is a space. A text that is not UTF-8 is ``{"hex": …}``.
- **body**: ``null`` when empty, else its content (codings of ``Content-Encoding`` undone; gzip that
  no header names too, if there is text in it) by what it is, whatever its type says:
  ``{"json": value}``, ``{"form": pairs}`` as params, ``{"multipart": [part, …]}`` of any subtype
  without the boundary, or ``{"sha256": hex}``. A part is its headers and its own ``sha256`` or
  ``multipart``. JSON lines and XML are ``sha256``, and so is what has no canonical form (a key
  twice, an integer beyond 2^53, a number that no double holds as it is written, another encoding
  than UTF-8), and forms or JSON above 1 MiB.
- **headers**: ``[name, value]`` pairs, sorted: ``accept`` (``*/*`` counts as absent, RFC 9110
  §12.5.1), ``range``, conditions (``if-none-match`` and the like, RFC 9110 §13.1), and those that a
  stored answer's ``Vary`` names. A header that names the
  operation of one URL (``SOAPAction``, ``X-Amz-Target``) counts as if the answer named it.

Ignored and redacted names leave the document, in JSON at any depth; an ignored ``filename`` leaves
the parts that have one. Data under the name of a secret (``token=BTC``) stays. Who makes a call is
``(user)`` among the headers, from the second of a recording on. Of what is a ``sha256``, a text
within JSON, a field or a part, their values count as ``REDACTED``, and so does in XML what
WS-Security and WS-Addressing have anew in each message. Test vectors:
``tests/vectors/params_hash.json``.
"""

from __future__ import annotations

from .bodies import PARSED_BODY_LIMIT, body_member
from .call import (
    CONDITIONS,
    USER,
    VERSION,
    Identity,
    base_of,
    conditions_of,
    identify,
    vary_names,
    without_headers,
)

__all__ = [
    "CONDITIONS",
    "PARSED_BODY_LIMIT",
    "USER",
    "VERSION",
    "Identity",
    "base_of",
    "body_member",
    "conditions_of",
    "identify",
    "vary_names",
    "without_headers",
]
