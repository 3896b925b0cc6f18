"""Which source a call belongs to, by rules on its host; a session may record several at once.

A rule is a host pattern and a source's name. The most specific rule that matches decides, in
whatever order they were given: an exact host before a pattern, a longer pattern before a shorter.
A pattern's ``*`` stands for any characters, ``?`` for one; with ``:8080`` behind it, it holds for
that port alone, and goes before the same without. ``*.example.com`` does not match
``example.com``. A call of no rule's, and one whose endpoint is no URL, is the session's own.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import TYPE_CHECKING, NamedTuple

from ..config.faces import Face
from ..config.settings import Settings, by_name
from ..errors import ConfigError
from ..http.content import LARGEST, content_headers, has_values
from ..http.named_values import Uncounted
from ..http.shapes import BEGINNING
from ..http.urls import split_url
from ..identity import Identity, identify
from ..identity.matching import Matcher, RequestBody
from ..identity.names import Names
from ..models import Headers, Mode, Request, Session
from ..patterns import regex
from ..redaction import rules as redacting
from ..redaction.rules import Redaction
from ..redaction.secrets import Secrets
from ..redaction.sent import CleanBody
from ..redaction.users import Users
from .recorder import Recorder

if TYPE_CHECKING:
    from ..replay.lookup import Lookup

_PORTS = {"http": "80", "https": "443"}
_REMEMBERED = 4096
_PORT = regex(r"(.*):(\d+)")


class _Rule(NamedTuple):
    host: str
    port: str
    source: str

    @property
    def rank(self) -> tuple[bool, int, bool, str]:
        """What sorts the most specific rule first."""
        wild = "*" in self.host or "?" in self.host
        literal = len(self.host) - self.host.count("*") - self.host.count("?")
        return wild, -literal, not self.port, self.host

    def matches(self, host: str, port: str) -> bool:
        if self.port and self.port != port:
            return False
        if "*" in self.host or "?" in self.host:
            # A bracket is that of an IPv6 address, not of a set of characters.
            return fnmatch.fnmatchcase(host, self.host.replace("[", "[[]"))
        return host == self.host


class Rules:
    """A session's rules.

    Args:
        rules: host pattern, in lower case → source.
        default: the session's own source.
    """

    def __init__(self, rules: Mapping[str, str], default: str) -> None:
        self._rules = sorted((_rule(*one) for one in rules.items()), key=lambda rule: rule.rank)
        self._default = default
        self._known: dict[tuple[str, str], str] = {}

    @property
    def sources(self) -> frozenset[str]:
        """Every source that a call may belong to."""
        return frozenset({self._default, *(rule.source for rule in self._rules)})

    def of(self, url: str) -> str:
        """Return the source of a call."""
        scheme, mark, rest = url.partition("://")
        if not mark:
            return self._default
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        key = scheme, authority
        source = self._known.get(key)
        if source is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            source = self._known[key] = self._find(f"{scheme}://{authority}/")
        return source

    def _find(self, url: str) -> str:
        scheme, _, rest = split_url(url)[0].partition("://")
        host, port = _split(rest.removesuffix("/"))
        port = port or _PORTS.get(scheme, "")
        return next((r.source for r in self._rules if r.matches(host, port)), self._default)


def _rule(pattern: str, source: str) -> _Rule:
    host, port = _split(pattern)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return _Rule(host, port, source)


def _split(authority: str) -> tuple[str, str]:
    """Return host and port; the colons of a bare IPv6 address are none before a port."""
    found = _PORT.fullmatch(authority)
    if found is None or (":" in found[1] and not found[1].endswith("]")):
        return authority, ""
    return found[1], found[2]


@dataclass(slots=True, eq=False, repr=False)
class SourceState:
    """What a session has for one source.

    Attributes:
        matcher: what counts in an identity, besides.
        ignore: holds the names of fields that do not, redacted ones too.
        secrets: what is known to be secret, under this source's redaction.
        users: tells who makes a call, where the session is open.
        lookup: finds answers, where the session replays.
        recorder: writes calls, where it records.
    """

    source: str
    redaction: Redaction
    matcher: Matcher
    ignore: Uncounted
    secrets: Secrets
    lookup: Lookup | None = None
    recorder: Recorder | None = None
    users: Users | None = None

    def users_of(self, root: str, session: Session) -> Users:
        """Return what tells the users of a session apart."""
        return Users(
            (root, self.source),
            records=session.mode is not Mode.REPLAY,
            anew=session.mode is Mode.RECORD,
            session_id=session.id,
        )

    def identify(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | mmap | None = None,
        params: Iterable[tuple[str, str]] = (),
        *,
        plainly: bool = False,
    ) -> Identity:
        """Return a call's identity: without what is secret or ignored, as it is compared.

        Args:
            plainly: not as a view sees it.

        Raises:
            ViewError: the view raised.
        """
        secrets = self.secrets
        given = headers if type(headers) is tuple else tuple(headers)
        pairs = secrets.pairs(given)
        if params:
            params = secrets.params(url, params)
        version = secrets.version
        clean = secrets.url(url)
        user = None
        told = pairs is not given or clean is not url or self.lookup is not None
        if told and self.users is not None:
            user = self.users.of(self.redaction, given, pairs, url, clean)
        sent = coding = None
        if body:
            content_type, coding = content_headers(pairs)
            sent = self._clean(body, content_type, coding)
            if sent is not None:
                body, coding = sent.counted, sent.coding
        identity = identify(
            method,
            clean,
            params=params,
            headers=pairs,
            body=body,
            ignore=self.ignore,
            ignore_headers=self.redaction.uncounted_headers,
            source=self.source,
            coding=coding,
            user=user,
            also=self.matcher.also,
            version=version,
            sent=sent,
        )
        if plainly or not self.matcher.sees:
            return identity
        return self.matcher.seen(identity, lambda: self._content(body, pairs, self.redaction.body))

    def seen_again(self, document: str, headers: Headers, body: bytes | None) -> str:
        """Return a recorded identity document as it is compared now."""
        if not self.matcher:
            return document
        identity, names = self.matcher.seen_again(
            document, lambda: self._content(body, headers), self.source
        )
        return identity.document(names).decode("utf-8")

    def stored_content(self, request: Request, body: bytes | None) -> RequestBody | None:
        """Return the body of a recorded request, for a view."""
        return self._content(body, request.headers)

    def _content(
        self,
        body: bytes | mmap | None,
        pairs: Headers,
        clean: Callable[[bytes, str], bytes] | None = None,
    ) -> RequestBody | None:
        if not body or not isinstance(body, bytes) or len(body) > LARGEST:
            return None
        content_type, coding = content_headers(pairs)
        uncounted = self.redaction.uncounted_headers
        return RequestBody(body, content_type, coding, self.ignore, uncounted, clean)

    def _clean(self, body: bytes | mmap, content_type: str, coding: str) -> CleanBody | None:
        """Return a request's body without secrets; ``None``: a file that is not looked into."""
        secrets = self.secrets
        if isinstance(body, mmap):
            if len(body) > LARGEST:
                return None
            if not (has_values(body[:BEGINNING], content_type, coding) or secrets.holds(body)):
                return None
            body = bytes(body)
        return secrets.body(body, content_type, coding)


class Sources:
    """The parts of one session: its own source's, and those that its rules name, once met.

    Args:
        source: the session's own.
        rules: host pattern → source.
        redaction: for all sources, or by source (the default for those it does not name).
        matching: returns what counts, by source.
        replays: recorded answers are served.
    """

    def __init__(
        self,
        source: str,
        rules: Mapping[str, str],
        redaction: Redaction | Mapping[str, Redaction | None] | None,
        *,
        matching: Callable[[str], Matcher] = lambda _: Matcher(),
        replays: bool = False,
    ) -> None:
        self._rules = Rules(rules, source) if rules else None
        self._redaction = redaction
        self._matching = matching
        self._equip: Callable[[SourceState], None] | None = None
        own = self._redaction_of(source) or redacting.NOTHING
        self.own = self._state(source, own, Secrets(own, replays=replays))
        self._sources = {source: self.own}

    def __iter__(self) -> Iterator[SourceState]:
        return iter(list(self._sources.values()))

    @property
    def bare(self) -> list[str]:
        """The sources whose redaction is off."""
        sources = self._rules.sources if self._rules is not None else [self.own.source]
        return sorted(name for name in sources if self._redaction_of(name) is None)

    def of(self, url: str) -> SourceState:
        """Return the part that a call belongs to."""
        if self._rules is None:
            return self.own
        source = self._rules.of(url)
        return self._sources.get(source) or self._add(source)

    def named(self, source: str) -> SourceState:
        """Return the part of a source that was met, the session's own for any other."""
        return self._sources.get(source, self.own)

    def equip(self, equip: Callable[[SourceState], None]) -> None:
        """Give each part, those to come included, what the open session has for it."""
        self._equip = equip
        for part in self:
            equip(part)

    def strip(self) -> None:
        """Take that from them: the session is over."""
        self._equip = None
        for part in self:
            part.lookup = part.recorder = part.users = None

    def renew(self) -> None:
        """Begin anew in a forked child."""
        for part in self:
            part.secrets.renew()

    def _add(self, source: str) -> SourceState:
        # Without a lock: what others do meanwhile, or a signal's handler in this thread, is seen.
        rules = self._redaction_of(source) or redacting.NOTHING
        secrets = self.own.secrets.under(rules)
        part = self._state(source, rules, secrets)
        equip = self._equip
        if equip is not None:
            equip(part)
        part = self._sources.setdefault(source, part)
        if self._equip is not equip:
            if self._equip is not None:
                self._equip(part)
            else:
                part.lookup = part.recorder = None
        return part

    def _state(self, source: str, redaction: Redaction, secrets: Secrets) -> SourceState:
        matcher = self._matching(source)
        ignore = redaction.uncounted(matcher.names.anywhere, matcher.names.xml)
        return SourceState(source, redaction, matcher, ignore, secrets)

    def _redaction_of(self, source: str) -> Redaction | None:
        if isinstance(self._redaction, Mapping):
            return self._redaction.get(source, redacting.DEFAULT)
        return self._redaction


def matching_of(settings: Settings, face: Face) -> Callable[[str], Matcher]:
    """Return what returns what counts in the calls of a source.

    Raises:
        ConfigError: a setting says nothing that is understood.
    """
    given = settings.ignore_params
    for params in given.values() if isinstance(given, Mapping) else [given]:
        try:
            Names.of(params)
        except ValueError as exc:
            raise ConfigError(f"{face.says('ignore_params', list(params))}: {exc}") from None

    def matching(source: str) -> Matcher:
        return Matcher(
            by_name(settings.ignore_params, source),
            by_name(settings.ignore_hosts, source),
            match_host=by_name(settings.match_host, source),
            ignore_body_of=by_name(settings.ignore_body_of, source),
            match_headers=by_name(settings.match_headers, source),
            view=by_name(settings.view, source),
        )

    return matching
