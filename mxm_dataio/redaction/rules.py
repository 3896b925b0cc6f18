"""What never reaches disk: the names that carry secrets, and how their values are replaced.

Pure. Redaction happens before anything is written, hashed or logged. What is redacted does not
count in ``params_hash`` either, so a recording made with one key replays with another. Whatever is
found here is handed on, so that :mod:`mxm_dataio.redaction.secrets` knows it wherever else it turns
up.
"""

from __future__ import annotations

import reprlib
from collections.abc import Container, Iterable
from dataclasses import dataclass, fields, replace

from ..errors import RuleError
from ..http import credentials, tokens
from ..http.named_values import Uncounted
from ..http.replacing import replaced
from ..http.tokens import stand_in
from ..models import Headers
from ..patterns import regex
from .answer_names import ANSWER_NAMES, Asked, Names, names_of, squashed
from .answers import cleaned
from .company import goes_with
from .found import Found, Sink, nowhere, of_header
from .interaction import Edit
from .kinds import (
    HOLDS_URL,
    NameKind,
    headers_not_counted,
    is_secret_header,
    kind_of,
    plain_headers,
    sieve_of,
)
from .masking import Masking
from .names import (
    DATA_NAMES,
    SECRET_HEADERS,
    SECRET_NAMES,
)
from .places import BODIES, HEADERS, CarefulRule, Rule, asked_of, placed, ruled
from .values import is_data, is_plain, looks_drawn

PLACEHOLDER = tokens.PLACEHOLDER


@dataclass(frozen=True, slots=True, repr=False)
class Redaction:
    """Which names are secret, in lower case; data, to be replaced or extended.

    Attributes:
        headers: of requests and responses. Of ``Set-Cookie`` only the cookie's value goes.
        names: of query parameters, and of what has a name in a request's body: form fields, parts,
            members of JSON, elements and attributes of XML, at any depth.
        words: so are headers and names that are by their words (``newPassword``), and what
            belongs to a signature; see :mod:`mxm_dataio.redaction.names`.
        data_names: of ``names`` those under which a value that looks like data (``BTC``, ``p2``) is
            none; names that :meth:`adding` adds are no longer among them.
        exempt_headers: headers that are not, whatever their words.
        exempt_names: names that are not, whatever their words, value and company.
        userinfo: ``user:password@`` goes from URLs.
        values: what was found to be secret is masked wherever else it turns up in the session.
        tokens: what stands under ``answer_names`` in answers goes.
        answer_names: of JSON members, XML elements and attributes, and form fields of answers, in
            any case and style (``accessToken``). Names that :meth:`adding` adds count there too.
        rules: asked before the lists, one after the other, with place, lower-case name and decoded
            value. What one returns takes the value's place (the value itself: it stays, listed or
            not); ``None`` leaves it to the next. Of requests: ``header``, ``query``, ``form``,
            ``part``, texts of ``json`` and ``xml``, and each segment of a ``path``, named by the
            path before it (``/users/``), also of URLs in headers of answers. Of answers:
            ``answer_header``, then ``header``; ``answer_json``, each text and literal, named by
            its member, in an array by that of the array; ``answer_xml``, texts and attributes;
            ``answer_text``, without a name the whole of any other text.
        edits: asked before all that with each call that is to be stored, for each of its tries;
            what one returns is stored in its place, ``None``: nothing is.
    """

    headers: frozenset[str] = SECRET_HEADERS
    names: frozenset[str] = SECRET_NAMES
    words: bool = True
    data_names: frozenset[str] = DATA_NAMES
    exempt_headers: frozenset[str] = frozenset()
    exempt_names: frozenset[str] = frozenset()
    userinfo: bool = True
    values: bool = True
    tokens: bool = True
    answer_names: frozenset[str] = ANSWER_NAMES
    rules: tuple[Rule, ...] = ()
    edits: tuple[Edit, ...] = ()

    def __repr__(self) -> str:
        """Say what is otherwise than in the default, of which the names fill pages."""
        found: list[str] = []
        for one in fields(self):
            own, usual = getattr(self, one.name), one.default
            if isinstance(own, frozenset) and isinstance(usual, frozenset):
                for sign, names in (("+", own - usual), ("-", usual - own)):
                    found += [f"{one.name}{sign}={reprlib.repr(sorted(names))}"] if names else []
            elif own != usual:
                found.append(f"{one.name}={len(own) if isinstance(own, tuple) else own}")
        return f"Redaction({', '.join(found)})"

    def adding(
        self,
        *rules: Rule,
        places: Iterable[str] | None = None,
        headers: Iterable[str] = (),
        names: Iterable[str] = (),
        answer_names: Iterable[str] = (),
        edits: Iterable[Edit] = (),
    ) -> Redaction:
        """Return this with more names, in any case, and more rules.

        Args:
            places: where these rules are asked, if not everywhere. Answers that no rule is asked
                of cost nothing.
            names: of requests and answers.
            answer_names: of answers alone.
            edits: functions of an :class:`~mxm_dataio.redaction.Interaction`, to change or leave
                out what is stored of a call as a whole. They make no difference to which call
                it is: that is for ``view``.

        Raises:
            ConfigError: there is no such place.
        """
        names = list(names)
        more_headers, more_names = _lower(headers), _lower(names)
        return replace(
            self,
            headers=self.headers | more_headers,
            names=self.names | more_names,
            data_names=self.data_names - more_names,
            answer_names=self.answer_names.union(names, answer_names),
            exempt_headers=self.exempt_headers - more_headers,
            exempt_names=self.exempt_names - more_names,
            rules=(*self.rules, *(rules if places is None else placed(rules, places))),
            edits=(*self.edits, *edits),
        )

    def without(
        self,
        *,
        headers: Iterable[str] = (),
        names: Iterable[str] = (),
        answer_names: Iterable[str] = (),
    ) -> Redaction:
        """Return this without some names, in any case: what stands under them is kept.

        Args:
            names: of requests and answers.
            answer_names: of answers alone.
        """
        less_headers, less_names = _lower(headers), _lower(names)
        less = set(map(squashed, {*less_names, *answer_names}))
        return replace(
            self,
            headers=self.headers - less_headers,
            names=self.names - less_names,
            answer_names=frozenset(
                name for name in self.answer_names if squashed(name) not in less
            ),
            exempt_headers=self.exempt_headers | less_headers,
            exempt_names=self.exempt_names | less_names,
        )

    @property
    def redacts(self) -> bool:
        """Say whether any name is secret."""
        return bool(self.names or self.headers or self.words)

    def is_secret(self, name: str, value: str | None = None) -> bool:
        """Say whether what stands under a name is secret.

        Args:
            name: of a parameter, field, part, member or element, as it stands: its case tells
                its words.
            value: it decides where a name (``appid``) may be an identifier.
        """
        kind = kind_of(name, self.names, self.words, self.exempt_names)
        if kind is not NameKind.PERHAPS:
            return kind is NameKind.SECRET and (value is None or not self.keeps(name, value))
        return value is not None and looks_drawn(value) and not is_plain(value)

    def keeps(self, name: str, value: str) -> bool:
        """Say whether a value under a secret name is data by its looks."""
        return name.lower() in self.data_names and is_data(value)

    def may_be_secret(self, name: str) -> bool:
        """Say whether :meth:`is_secret` says so of any value."""
        kind = kind_of(name, self.names, self.words, self.exempt_names)
        return kind is NameKind.SECRET or kind is NameKind.PERHAPS

    def is_secret_header(self, name: str) -> bool:
        """Say whether a header, in any case, is secret."""
        return is_secret_header(name, self.headers, self.words, self.exempt_headers)

    def goes_with(self, name: str, value: str, beside: Iterable[str]) -> bool:
        """Say whether a field belongs to a signature or log-in that stands beside it.

        It is not secret by itself (``Expires``, ``timestamp``), but made anew with it.

        Args:
            beside: the names of all fields of its query, form or object.
        """
        kind = kind_of(name, self.names, self.words, self.exempt_names)
        return kind is NameKind.COMPANY and goes_with(name.lower(), value, _lower(beside))

    def may_name(self, data: bytes) -> bool:
        """Say, fast, whether a text may have a name in it of which :meth:`is_secret` says so.

        However the text is written, and whatever it is.
        """
        return sieve_of(self.names, self.words).may_be_in(data)

    def uncounted(self, names: Iterable[str] = (), xml: Iterable[str] = ()) -> Uncounted:
        """Return what holds all names, in any case, that do not count in an identity.

        Args:
            names: more of them.
            xml: more of them in XML alone.
        """
        return Uncounted(self.is_secret, self.may_name, _lower(names), self.keeps, _lower(xml))

    @property
    def uncounted_headers(self) -> Container[str]:
        """What holds all headers, in any case, that do not count in an identity."""
        return headers_not_counted(self.headers, self.words, self.exempt_headers)

    def header_pairs(self, pairs: Iterable[tuple[str, str]], into: Sink = nowhere) -> Headers:
        """Return header pairs without secret values."""
        if asked_of(self.rules, HEADERS):
            return tuple([(name, self._header(name.lower(), value, into)) for name, value in pairs])
        plain = plain_headers(self.headers, self.words, self.exempt_headers)
        return tuple(
            [
                (name, value)
                if plain[name] and "=" not in value and "@" not in value
                else (name, self._header(name.lower(), value, into))
                for name, value in pairs
            ]
        )

    def _header(self, name: str, value: str, into: Sink, place: str = "header") -> str:
        if self.rules:
            after = ruled(self.rules, place, name, value, into)
            if after is not None:
                return after.replace("\r", " ").replace("\n", " ")
        if name in HOLDS_URL:
            return self.url(value, into)
        if name == "host" and "@" in value:
            # ``http.client`` takes userinfo for a part of the host.
            return self.url(f"//{value}", into)[2:]
        if not self.is_secret_header(name):
            if ("://" in value and ("=" in value or self.rules)) or ("=" in value and "?" in value):
                from . import texts  # few headers and messages need it

                return texts.urls_redacted(value, lambda url: self.url(url, into))
            return value
        for found in of_header(name, value, self.is_secret):
            into(found)
        if name == "set-cookie":
            cookie, semicolon, rest = value.partition(";")
            # Without a name the whole is the value (RFC 6265bis §5.6).
            name, equals, text = cookie.partition("=")
            after = stand_in((text if equals else cookie).strip())
            return f"{name if equals else ''}{equals}{after}{semicolon}{rest}"
        if name.endswith("authorization"):
            scheme, rest = credentials.parsed(value)
            return f"{scheme} {stand_in(rest)}" if scheme else stand_in(rest)
        return stand_in(value.strip())

    def head(self, head: bytes, into: Sink = nowhere, place: str = "header") -> bytes:
        """Return the bytes of a status line and headers without secret values.

        Lines without a secret stay as they are, to the byte; so does the line end.

        Args:
            place: ``answer_header`` of an answer.
        """
        asks = asked_of(self.rules, HEADERS)
        if not asks:
            text = head.decode("latin-1")
            plain = plain_headers(self.headers, self.words, self.exempt_headers)
            held = text.find("=", text.find("\n")) >= 0 and ("://" in text or "?" in text)
            held = held or "@" in text
            if not held and all(map(plain.__getitem__, _LINE_NAMES.findall(text))):
                return head
        lines = head.split(b"\n")
        folded = False
        for index, line in enumerate(lines[1:], 1):
            if folded and line[:1] in (b" ", b"\t"):
                lines[index] = b" " + line[len(line.rstrip(b"\r")) :]
                continue
            name, colon, value = line.partition(b":")
            folded = False
            key = name.decode("latin-1").strip().lower()
            held = key in HOLDS_URL or key == "host" or b"=" in value
            if not colon or not (asks or held or self.is_secret_header(key)):
                continue
            before = value.decode("latin-1").rstrip("\r")
            after = self._header(key, before.strip(), into, place)
            if after != before.strip():
                folded = True
                end = b"\r" if line.endswith(b"\r") else b""
                lines[index] = name + b": " + after.encode("latin-1", "replace") + end
        return b"\n".join(lines)

    def url(self, url: str, into: Sink = nowhere) -> str:
        """Return a URL without userinfo and without the values of secret parameters.

        Nothing else of it changes; a fragment of parameters (OAuth's) counts as a query.
        """
        return Masking(self, into).url(url)

    def params(
        self, url: str, params: Iterable[tuple[str, str]], into: Sink = nowhere
    ) -> list[tuple[str, str]]:
        """Return decoded parameters of a URL without secret values."""
        return Masking(self, into).params(url, params)

    def body(self, body: bytes, content_type: str, into: Sink = nowhere) -> bytes:
        """Return a request body, its content coding undone, without the values of secret names.

        Names of fields, parts, members, elements and headers, at any depth, whatever the body's
        header says it is; nothing else of it changes.
        """
        return replaced(body, content_type, Masking(self, into))

    def looks_for(self, content: bytes, asked: Asked) -> bool:
        """Say, fast, whether an answer's body may have a secret under a name of its own."""
        return self._answer_names.may_be_in(content, asked)

    def answer(
        self,
        content: bytes,
        asked: Asked,
        into: Sink = nowhere,
        kept: Container[tuple[str, str]] = (),
    ) -> bytes:
        """Return an answer's body without what stands under secret names; the same object if none.

        Nothing else of it changes. It may be the beginning of one.

        Args:
            kept: names in lower case and their values that stay.
        """
        if not self.looks_for(content, asked):
            return content
        names = self._answer_names
        return cleaned(content, names, asked, lambda *found: into(Found("answer", *found)), kept)

    @property
    def asks_bodies(self) -> bool:
        """Say whether a rule may be asked of the bodies of answers."""
        return bool(asked_of(self.rules, BODIES))

    def ruled_answer(
        self, content: bytes, content_type: str, into: Sink = nowhere
    ) -> tuple[bytes, set[tuple[str, str]]]:
        """Return the body of an answer as rules have it; the same object if that is as it was.

        And the names and values that they have stay. It may be the beginning of one.
        """
        kept: set[tuple[str, str]] = set()

        def ask(place: str, name: str, value: str) -> str | None:
            after = ruled(self.rules, place, name, value, into)
            if after == value:
                kept.add((name, value))
            return after

        from . import ruled_answers  # few sessions have rules

        return ruled_answers.replaced(content, content_type, ask), kept

    @property
    def _answer_names(self) -> Names:
        return names_of(self.answer_names, self.exempt_names)

    def text(self, text: str, into: Sink = nowhere) -> str:
        """Return a message without what stands in it under secret names.

        A rule takes what it fails for: what is said of that is a message, too.
        """
        from . import texts

        try:
            return texts.redacted(
                text, lambda url: self.url(url, into), self.is_secret, self.is_secret_header
            )
        except RuleError:
            return self._careful().text(text, into)

    def _careful(self) -> Redaction:
        return replace(self, rules=tuple(map(CarefulRule, self.rules)))

    def shown(self, url: str, into: Sink = nowhere) -> str:
        """Return a URL for a message: as :meth:`url` has it, unless a rule fails."""
        try:
            return self.url(url, into)
        except RuleError:
            return self._careful().url(url, into)


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset([name.lower() for name in names])


# Names of header lines, and what is no name of what goes on from the line before.
_LINE_NAMES = regex(r"\n([^:\n]*)")
DEFAULT = Redaction()
NOTHING = Redaction(
    headers=frozenset(),
    names=frozenset(),
    words=False,
    userinfo=False,
    values=False,
    tokens=False,
)
