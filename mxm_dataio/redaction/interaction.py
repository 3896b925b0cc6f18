"""A request and its answer on their way to the store, for functions of users that edit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..models import Headers


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request and an answer to it, as the program had them.

    Attributes:
        method, url, headers, body: of the request.
        status_code: of the answer; ``None``: none came, or one of a fetcher that has none.
        reason, answer_headers: of the answer.
        answer: its body, under the content coding that it has. Its ``Content-Length`` is kept in
            step with it.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    status_code: int | None = None
    reason: str = ""
    answer_headers: Headers = ()
    answer: bytes = b""


# Returns what is stored; ``None``: the call is not.
Edit = Callable[[Interaction], Interaction | None]
