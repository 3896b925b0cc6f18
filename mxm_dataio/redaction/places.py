"""The places that rules are asked of, and what becomes of what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import ConfigError, RuleError
from ..http.tokens import PLACEHOLDER
from ..patterns import regex
from .found import Found, Sink

# Asked with place, name and value; see :attr:`mxm_dataio.redaction.Redaction.rules`.
Rule = Callable[[str, str, str], str | None]
# Of answers' bodies, of headers, and of the rest of requests.
BODIES = frozenset({"answer_json", "answer_xml", "answer_text"})
HEADERS = frozenset({"answer_header", "header", "path"})
REQUESTS = frozenset({"form", "json", "part", "path", "query", "xml"})
PLACES = BODIES | HEADERS | REQUESTS
# What no writer escapes, and so reads the same wherever it stands.
_BARE = regex(r"[A-Za-z0-9._~*-]{1,64}")
_WORDS = regex(r"[^\s\"'<>(){}\[\],;=&?#|]+")
# A text of which more went is another one.
_MOST_WORDS = 64


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule that is asked of some places alone."""

    rule: Rule
    places: frozenset[str]

    def __call__(self, place: str, name: str, value: str) -> str | None:
        return self.rule(place, name, value) if place in self.places else None

    @property
    def __name__(self) -> str:
        return _name(self.rule)


@dataclass(frozen=True, slots=True)
class CarefulRule:
    """A rule that takes the value where it fails."""

    rule: Rule

    def __call__(self, place: str, name: str, value: str) -> str | None:
        try:
            return _asked(self.rule, place, name, value)
        except RuleError:
            return PLACEHOLDER


def placed(rules: Iterable[Rule], places: Iterable[str]) -> tuple[Rule, ...]:
    """Return rules that are asked of some places alone.

    Raises:
        ConfigError: there is no such place.
    """
    asked = frozenset([places] if isinstance(places, str) else places)
    for place in sorted(asked - PLACES):
        raise ConfigError(f"no place {place!r} is asked of rules: {', '.join(sorted(PLACES))} are")
    return tuple(PlacedRule(rule, asked) for rule in rules)


def asked_of(rules: tuple[Rule, ...], places: frozenset[str]) -> tuple[Rule, ...]:
    """Return those of the rules that may be asked of some places."""
    return rules and tuple(
        rule
        for rule in rules
        if not isinstance(rule, PlacedRule) or not places.isdisjoint(rule.places)
    )


def ruled(rules: Iterable[Rule], place: str, name: str, value: str, into: Sink) -> str | None:
    """Return what a rule has take a value's place, ``None`` if none has a word on it.

    What has the same characters, in another order or case, hides nothing: it makes requests that
    vary the same, and is no reason to change an answer, or to mask the value elsewhere.

    Args:
        name: in lower case.
        into: told of what was hidden.

    Raises:
        RuleError: a rule raised, or returned no text.
    """
    for rule in rules:
        after = _asked(rule, place, name, value)
        if after is None and place == "answer_header":
            after = _asked(rule, "header", name, value)
        if after is None:
            continue
        if after != value:
            if not _hides(value, after):
                return value if place.startswith("answer") else after
            for found in _hidden(place, name, value, after):
                into(found)
        return after
    return None


def _asked(rule: Rule, place: str, name: str, value: str) -> str | None:
    try:
        after = rule(place, name, value)
    except Exception as exc:
        raised = type(exc).__name__
    else:
        if after is None or isinstance(after, str):
            return after
        raised = f"TypeError (it returned {type(after).__name__})"
    # What it raised may be the value, and the name of a path is a part of it.
    where = place if place == "path" or not name else f"{place} {name!r}"
    raise RuleError(
        f"the redaction rule {_name(rule)!r} raised {raised} for the {where}: mend it, or return "
        "None there"
    ) from None


def _name(rule: Rule) -> str:
    return getattr(rule, "__name__", "without a name")


def _hides(value: str, after: str) -> bool:
    before, behind = ("".join(text.split()).casefold() for text in (value, after))
    return len(before) != len(behind) or Counter(before) != Counter(behind)


def _hidden(place: str, name: str, value: str, after: str) -> Iterable[Found]:
    """Yield what was hidden, and what stands for it wherever else it turns up.

    That is the same where it can be: what the program gets in replay it may send back.
    """
    if place != "answer_text" or "\n" not in value.strip():
        yield Found(place, name, value.strip(), _mask(after.strip()))
    if place == "answer_text":
        # Of a page or a table, the words that went, and those that came.
        gone, come = (dict.fromkeys(_WORDS.findall(text)) for text in (value, after))
        words = [one for one in gone if one not in come]
        masks = [one for one in come if one not in gone]
        if len(words) > _MOST_WORDS:
            return
        if len(masks) != len(words):
            masks = masks * len(words) if len(masks) == 1 else [PLACEHOLDER] * len(words)
        for word, mask in zip(words, masks, strict=True):
            yield Found(place, name, word, _mask(mask))


def _mask(after: str) -> str:
    return after if _BARE.fullmatch(after) else PLACEHOLDER
