"""What a request's body is, whatever its header says."""

from __future__ import annotations

from enum import Enum, auto
from mmap import mmap

from ..patterns import regex
from ..utils import is_json, media_type
from .multipart import looks_multipart

# What of a body tells its shape.
BEGINNING = 4096
_MARK = regex(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*+"
    rb"(?:(?P<json>[{\[])|(?P<xml><\0*+[A-Za-z_?!:])|(?P<field>[\w.%+\[\]$:-]{1,200}=)|\Z)"
)
# What a form is made of that no header says to be one.
_FORM = regex(rb"[A-Za-z_%\[$][\w.%+\[\]:$-]*+=[!#-;=?-z|~]*+")
_LINES = regex(r"ndjson|jsonl|json-?lines|json-seq|jsonlines")


class Shape(Enum):
    """What a body is."""

    JSON = auto()
    FORM = auto()
    MULTIPART = auto()
    XML = auto()
    # A request or an answer of HTTP.
    MESSAGE = auto()
    # Names before colons (GraphQL, YAML).
    NAMES = auto()
    OTHER = auto()


def shape_of(body: bytes | mmap, content_type: str) -> Shape:
    """Return what a body is: by what it looks like, else by its media type."""
    media = media_type(content_type)
    if is_json(media):
        return Shape.JSON
    if media.startswith("multipart/"):
        return Shape.MULTIPART
    beginning = body[:BEGINNING]
    match = _MARK.match(beginning)
    if match is not None:
        if match["json"]:
            return Shape.JSON
        if match["xml"]:
            return Shape.XML
    if looks_multipart(beginning):
        return Shape.MULTIPART
    kind = media.rpartition("/")[2]
    if kind == "http":
        return Shape.MESSAGE
    if "json" in kind:
        return Shape.JSON
    if kind == "x-www-form-urlencoded":
        return Shape.FORM
    if kind.endswith(("graphql", "yaml")):
        return Shape.NAMES
    if match is not None and match["field"] and b"\0" not in beginning:
        return Shape.FORM
    return Shape.OTHER


def is_lines(content_type: str) -> bool:
    """Say whether a media type is that of JSON lines."""
    return _LINES.search(media_type(content_type)) is not None


def is_form(body: bytes, content_type: str) -> bool:
    """Say whether a body that has the shape of a form is one, and nothing else."""
    media = media_type(content_type)
    return media == "application/x-www-form-urlencoded" or _FORM.fullmatch(body) is not None
