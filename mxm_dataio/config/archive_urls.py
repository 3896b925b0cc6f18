"""URLs of archives: which there are, and how they are told without anything secret in them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..patterns import regex

SCHEMES = ("s3", "gs", "az", "file", "memory")
_URL = regex(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_url(text: str) -> bool:
    """Say whether a text names an archive, and no folder."""
    found = _URL.match(text)
    return found is not None and found[1].lower() in SCHEMES


def checked(url: str) -> str:
    """Return the URL of an archive as it is used and told.

    Raises:
        ConfigError: it is none, or something secret is in it, which is not repeated.
    """
    found = _URL.match(url)
    if found is None:
        raise ConfigError(
            "no URL of an archive: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix "
            "or file:///folder"
        )
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        raise ConfigError(
            f"an archive is not reached by {scheme}://: there are "
            + ", ".join(f"{one}://" for one in SCHEMES)
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("the URL of the archive is malformed") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"the URL of the archive is {scheme}://, the bucket and a prefix, and nothing else: "
            "credentials and endpoints come from the environment (AWS_ACCESS_KEY_ID, "
            "AWS_ENDPOINT_URL, …)"
        )
    if not parts.netloc and scheme not in ("file", "memory"):
        raise ConfigError(f"the URL of the archive names no bucket: {scheme}://bucket/prefix")
    if scheme == "file" and (parts.netloc or len(parts.path) < 2):
        raise ConfigError("the URL of an archive in a folder is file:///path/of/the/folder")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class ArchiveRoot(type(Path())):  # type: ignore[misc] # which of the two classes it is
    """The folder that keeps what an archive was asked for, given as that archive's URL.

    Attributes:
        url: the archive's.
    """

    __slots__ = ("url",)

    url: str


# Where an archive is, besides its URL: two of the same have nothing in common.
_ENDPOINTS = regex(r"AWS_.*ENDPOINT.*|AZURE_STORAGE_(ACCOUNT_NAME|ENDPOINT)|GOOGLE_.*URL")


def root_of(value: str | os.PathLike[str]) -> Path:
    """Return the folder of a root, or of what is kept of an archive here.

    That is ``$XDG_CACHE_HOME/mxm-dataio/<hash of the URL>`` (``~/.cache``); it may be deleted.

    Raises:
        ConfigError: it looks like an archive's URL, and is none, or something secret is in it.
    """
    text = os.fspath(value)
    if _URL.match(text) is None:
        return Path(text).expanduser()
    url = checked(text)
    where = sorted(pair for pair in os.environ.items() if _ENDPOINTS.fullmatch(pair[0]))
    digest = hashlib.sha256(repr((url, where)).encode("utf-8", "surrogateescape")).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser().absolute() / "mxm-dataio" / digest[:32]
    root = ArchiveRoot(folder)
    root.url = url
    return root


def said(root: Path) -> str:
    """Return a root as it is given."""
    return root.url if isinstance(root, ArchiveRoot) else str(root)
