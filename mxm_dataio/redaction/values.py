"""Which values give away that they are secret."""

from __future__ import annotations

from ..patterns import regex

# What stands for itself in data: words, dates, numbers that are not long.
_PLAIN = regex(r"[a-z]{1,15}|[A-Z]{1,15}|[A-Z][a-z]{1,14}")
_DATE = regex(r"\d{4}-?\d\d-?\d\d([T ][\d:.]*)?(Z|[+-]\d\d:?\d\d)?")
_NUMBER = regex(r"[\d.,+:/-]+")
_PIECES = regex(r"[^A-Za-z0-9]+")
_WORDS = regex(r"(?:[A-Z]?[a-z]{1,15}|[A-Z]{2,15}|v?[0-9]{1,6})(?:[A-Z][a-z]{1,15})*")
_KEY = regex(r"[A-Za-z0-9_=+-]{16,}")
_RUN = regex(r"[A-Z]+|[a-z]+|[0-9]+")
# A ticker, the number of a page: no secret has so few letters or digits.
_DATA = regex(r"[A-Z]{2,5}|\d{1,3}|(?:[A-Za-z]{1,2}|[Pp]age)[._-]?\d{1,3}")
SHORTEST = 8
# Where a parameter ``key`` is the caller's own, whatever it looks like.
_KEY_HOSTS = (
    "api.census.gov", "api.isthereanydeal.com", "api.opencagedata.com", "api.stackexchange.com",
    "api.steampowered.com", "api.tomtom.com", "api.trello.com", "api.weatherapi.com",
    "api.weatherbit.io", "dev.virtualearth.net", "googleapis.com", "graphhopper.com",
    "locationiq.com", "maps.google.com", "maptiler.com", "mapquestapi.com",
    "quickstats.nass.usda.gov",
)  # fmt: skip


def is_data(value: str) -> bool:
    """Say whether a value is data by its looks, under a name that may have some."""
    return _DATA.fullmatch(value) is not None


def is_plain(value: str) -> bool:
    """Say whether a value stands for itself in data: a word, a date, a number below 12 digits."""
    if _PLAIN.fullmatch(value) or _DATE.fullmatch(value):
        return True
    return _NUMBER.fullmatch(value) is not None and sum(map(str.isdigit, value)) < 12


def looks_drawn(value: str, least: int = SHORTEST) -> bool:
    """Say whether a value looks drawn by lot: so much of it is neither words nor short numbers."""
    pieces = [piece for piece in _PIECES.split(value) if not _WORDS.fullmatch(piece)]
    return sum(map(len, pieces)) >= least


def is_key(value: str, host: str = "") -> bool:
    """Say whether the parameter ``key`` with this value is a key, and not what is looked for.

    An ISIN or an option's symbol is letters and digits too, but few runs of them.
    """
    host = host.lower()
    if any(host == one or host.endswith(f".{one}") for one in _KEY_HOSTS):
        return True
    if not _KEY.fullmatch(value) or is_plain(value) or not looks_drawn(value, 16):
        return False
    return len(_RUN.findall(value)) * 6 > len(value) + 6
