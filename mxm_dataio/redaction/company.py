"""What is made anew beside a signature or a log-in, and no secret itself."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..patterns import regex

_SIGNATURES = frozenset(["sig", "sign", "signature", "x-amz-signature", "x-oss-signature"])
_MOMENT = regex(r"[0-9]{9,19}(?:\.[0-9]+)?|[0-9]{4}-?[0-9]{2}-?[0-9]{2}[T ].*", re.DOTALL)
_DAY = regex(rf"{_MOMENT.pattern}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}", re.DOTALL)
_ANY = regex(r".+", re.DOTALL)
# Name → the names of which one has to stand beside it, and what its value has to look like.
_COMPANY: dict[str, tuple[frozenset[str], re.Pattern[str]]] = {
    # Presigned by S3 version 2, CloudFront, Google, Aliyun; Bunny has a token.
    "expires": (_SIGNATURES | {"token"}, _MOMENT),
    "policy": (_SIGNATURES, _ANY),
    # Azure's shared access signatures.
    "st": (frozenset({"sig"}), _DAY),
    "se": (frozenset({"sig"}), _DAY),
    "skt": (frozenset({"sig"}), _DAY),
    "ske": (frozenset({"sig"}), _DAY),
    # Signed calls of exchanges, and of Alibaba.
    "timestamp": (_SIGNATURES, _MOMENT),
    "nonce": (_SIGNATURES, _ANY),
    # RFC 6749 §4.1.3.
    "code": (frozenset({"grant_type"}), _ANY),
}
COMPANY = frozenset(_COMPANY)


def goes_with(name: str, value: str, beside: Collection[str]) -> bool:
    """Say whether a field belongs to a signature or log-in that stands beside it.

    Args:
        name: in lower case.
        beside: the lower-case names of all fields of its query, form or object.
    """
    company = _COMPANY.get(name)
    if company is None or company[0].isdisjoint(beside):
        return False
    return company[1].fullmatch(value) is not None
