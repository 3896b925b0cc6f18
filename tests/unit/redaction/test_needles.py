"""What is looked for is found however it is written, and costs what its text does."""

from __future__ import annotations

import base64
import html
import itertools
import json
import mmap
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from types import FrameType
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests.utils import requote_uri

from mxm_dataio.redaction import known as values_known
from mxm_dataio.redaction.finding import holds, masked, masked_end, masked_wide
from mxm_dataio.redaction.known import Needles
from mxm_dataio.redaction.needles import coded, needles_of
from tests.support.effort import rounds

SHORTEST = 8
MASK = b"REDACTED"
PLAIN = "Zk3v9-QmX71_tRw8"
ODD = "pa&ss\"w\\rd é%/+<Qm4xT9'\n"


def lower(text: str) -> str:
    """Return percent-encoding with lower-case hex."""
    return "".join(quote(one, safe="~").lower() if quote(one) != one else one for one in text)


def every(form: Callable[[int], str]) -> Callable[[str], str]:
    """Return how a text is written with each character escaped but for the unreserved ones."""
    return lambda text: re.sub("[^A-Za-z0-9._-]", lambda match: form(ord(match[0])), text)


def java(code: int) -> str:
    units = chr(code).encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))


WRITINGS: dict[str, Callable[[str], str]] = {
    "bare": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes bare": quote,
    "percent, as JavaScript's encodeURIComponent": lambda text: quote(text, safe="!~*'()"),
    "percent, as JavaScript's encodeURI": lambda text: quote(text, safe=";,/?:@&=+$-_.!~*'()#"),
    "percent, as requests has it": lambda text: requote_uri(text.replace("%", "%25")),
    "percent, lower case": lower,
    "percent, each character": every(lambda code: quote(chr(code).encode(), safe="")),
    "a form": quote_plus,
    "percent, twice": lambda text: quote(quote(text), safe=""),
    "a form in a URL": lambda text: quote(quote_plus(text), safe=""),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, slashes escaped": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, each character": every(java),
    "JSON for HTML": lambda text: json.dumps(text)[1:-1].replace("<", "\\u003c"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "JSON in a form": lambda text: quote_plus(json.dumps({"a": text})),
    "JSON in an attribute": lambda text: html.escape(json.dumps({"a": text})),
    "HTML in JSON": lambda text: json.dumps(f"<a>{html.escape(text)}</a>"),
    "a URL in JSON": lambda text: json.dumps(f"http://h/?a={quote(text)}").replace("/", "\\/"),
    "a URL in an attribute": lambda text: html.escape(f"/?a=b&c={quote_plus(text)}&d=é"),
    "HTML": html.escape,
    "HTML, but for quotes": lambda text: html.escape(text, quote=False),
    "HTML, by numbers": every(lambda code: f"&#{code};"),
    "HTML, by padded numbers": every(lambda code: f"&#{code:05};"),
    "HTML, by hexadecimal numbers": every(lambda code: f"&#x{code:X};"),
    "HTML, by names": lambda text: html.escape(text).replace("/", "&sol;").replace("é", "&eacute;"),
    "Python": lambda text: repr(text)[1:-1],
    "bytes of Python": lambda text: repr(text.encode())[2:-1],
    "JavaScript": every(lambda code: f"\\x{code:02x}" if code < 128 else java(code)),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64, behind one byte": lambda text: base64.b64encode(f":{text}".encode()).decode(),
    "Base64, behind two bytes": lambda text: base64.b64encode(f"a:{text}b".encode()).decode(),
    "Base64 for URLs": lambda text: base64.urlsafe_b64encode(f"é:{text}é".encode()).decode(),
    "Base64 in a form": lambda text: quote_plus(base64.b64encode(text.encode())),
    "Base64 in JSON": lambda text: json.dumps(base64.b64encode(text.encode()).decode()).replace(
        "/", "\\/"
    ),
}

# Secrets, of which a part has no other writing.
secrets = st.builds(
    lambda start, middle, end: f"{start}{middle}{end}",
    st.text("aZ9&\"\\ é%/+<>'=?#€😀-._~\n\t", max_size=12),
    st.sampled_from(["Qx7", "Qx7vBn2K", "Qx7vBn2Kd93hGt5w"]),
    st.text("bY8&\"\\ é%/+<>'=?#€😀-._~\n\t", min_size=8, max_size=12),
)


def mask(data: bytes, value: str) -> bytes:
    known = Needles(8, 8)
    known.add(value, needles_of(value))
    return masked(data, known.near(data), MASK)


@pytest.mark.parametrize("writing", WRITINGS)
@given(secrets)
@example(PLAIN)
@example(ODD)
@example("\\" * 30 + "Zq7xK9pW2m")
@example("%5c%2525%%%" * 4 + "Zq7xK9pW2m")
@example("&amp;&&amp;amp;" * 4 + "Zq7xK9pW2m")
def test_however_it_is_written(writing: str, secret: str) -> None:
    written = WRITINGS[writing](secret).encode()
    assert mask(b"x [" + written + b"] y", secret).count(MASK) == 1
    assert holds(written, needles_of(secret))
    # What is around it stays, and so does what is another.
    text = b'"%41\\u0041&amp; [' + written + b'] %41\\u0041&amp;"'
    clean = mask(text, secret)
    assert clean.startswith(b'"%41\\u0041&amp; [')
    assert clean.endswith(b'] %41\\u0041&amp;"')
    other = WRITINGS[writing](secret.replace("Q", "P").replace("q", "p")).encode()
    assert mask(other, secret) is other


def test_latin_1() -> None:
    for secret in ("naïveté-9f3kQz", "Zk3v9 é QmX71"):
        data = secret.encode("latin-1")
        assert mask(b"<" + data + b">", secret) == b"<REDACTED>"
        assert mask(quote(data).encode(), secret) == MASK
        assert mask(base64.b64encode(b"me:" + data), secret) == MASK


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("writing", ["bare", "JSON", "JSON in UTF-8", "HTML"])
def test_utf_16(coding: str, writing: str) -> None:
    data = f"<{WRITINGS[writing](ODD)}>".encode(coding)
    assert masked_wide(data, needles_of(ODD), "MASK") == "<MASK>".encode(coding)


def test_padding_goes_with_base64_whatever_is_escaped() -> None:
    for length in range(12, 18):
        written = quote_plus(base64.b64encode(PLAIN[:length].encode())).encode()
        assert mask(b"a=" + written + b"&b", PLAIN[:length]) == b"a=REDACTED&b"


def test_a_value_in_another() -> None:
    known = Needles(8, 8)
    for value in (PLAIN, f"{PLAIN}-and-more", f"one-{PLAIN}"):
        known.add(value, needles_of(value))
    data = f"{PLAIN} one-{PLAIN} {PLAIN}-and-more {PLAIN}{PLAIN}".encode()
    clean = b"REDACTED REDACTED REDACTED REDACTEDREDACTED"
    assert masked(data, known.near(data), MASK) == clean


@pytest.mark.parametrize("writing", WRITINGS)
@given(secrets, st.data())
@example(PLAIN, None)
@example("Ab9&6c3f82d1a05b4e97", None)
def test_the_end_of_what_is_cut(writing: str, secret: str, data: st.DataObject | None) -> None:
    written = WRITINGS[writing](secret)
    # What is written before it, but for the letter of Base64 that is its own in part.
    pairs = zip(WRITINGS[writing]("a"), WRITINGS[writing]("b"), strict=False)
    before = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    # (Half a surrogate pair is no part of a character.)
    allowed = before + SHORTEST + ("Base64" in writing) + 12 * ("😀" in secret)
    for end in range(len(written)) if data is None else [data.draw(st.integers(0, len(written)))]:
        text = f"<p>some text {written[:end]}".encode("utf-8", "surrogatepass")
        known = Needles(8, 8)
        known.add(secret, needles_of(secret))
        clean = masked_end(masked(text, known.near(text), MASK), known, MASK).decode()
        assert written[:allowed] not in clean


def test_a_cookie_of_backslashes() -> None:
    for text in ("\\" * 2_000, "%5c" * 2_000, "\\/" * 2_000):
        page = f"{text} {PLAIN}".encode()
        assert mask(page, "\\" * 60 + PLAIN) is page


def test_whatever_else_a_cut_text_ends_with_stays() -> None:
    for text in (b"", b"Z", b"a longer text", b"Zk3v9-", b"Wms9&lt;", b"\\", b"%", b"x" * 5_000):
        assert masked_end(text, needles_of(PLAIN), MASK) == text


def test_many_are_looked_up_at_once() -> None:
    known = Needles(100, 10)
    values = [f"{number:05}-{number * 7919:09x}" for number in range(150)]
    for value in values:
        known.add(value, needles_of(value))
    for at in range(9):
        data = b" " * at + " ".join(values).encode()
        found = {needle.value for needle in known.near(data)}
        assert found == set(values[50:])
        for value in values[50:]:
            text = b"." * at + value.encode() + b"\n"
            assert {needle.value for needle in known.near(text)} == {value}
            assert masked(text, known.near(text), MASK) == b"." * at + b"REDACTED\n"
    # Nothing is left of those that were forgotten.
    assert {one.value for one in known} == set(values[50:])
    assert {one.value for those in known._grams.values() for one in those} <= set(values[50:])
    assert all(known._grams.values())


def test_what_rotates_costs_the_same_however_much_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load balancer sets new cookies with each answer: what was known before is not gone over."""
    touched = 0

    def count(name: str) -> None:
        real = getattr(Needles, name)

        def counted(self: Needles, needle: object) -> None:
            nonlocal touched
            touched += 1
            real(self, needle)

        monkeypatch.setattr(Needles, name, counted)

    count("_put")
    count("_drop")
    known = Needles(256, 32)
    for number in range(2_000):
        value = f"{number * 104_729:09x}-{number:05}"
        some, before = needles_of(value), touched
        known.add(value, some)
        assert touched - before <= 2 * len(some)
    # Nor is each of them looked for in a text without one.
    assert known._short == {}
    assert known._looked_up(b"a text in which none is" * 100) == ()


def test_the_latest_use_counts() -> None:
    known = Needles(3, 1)
    for value in ("first-value", "second-value", "third-value"):
        known.add(value, needles_of(value))
    assert known.known("first-value")
    assert not known.known("unknown-value")
    known.add("fourth-value", needles_of("fourth-value"))
    assert [known.known(f"{n}-value") for n in ("first", "second", "third", "fourth")] == [
        True, False, True, True,
    ]  # fmt: skip


def test_what_passes_may_come_to_last() -> None:
    known = Needles(3, 1)
    known.add("a-value-here", needles_of("a-value-here"), passing=True)
    assert known.known("a-value-here", passing=True)
    assert not known.known("a-value-here")
    known.add("a-value-here", needles_of("a-value-here"))
    for number in range(3):
        known.add(f"passing-{number}", needles_of(f"passing-{number}"), passing=True)
    assert known.known("a-value-here")
    assert {one.value for one in known} == {"a-value-here", "passing-2"}


def test_the_version_tells_of_what_is_new() -> None:
    known = Needles(2, 1)
    assert known.version is None
    seen = {known.version}
    for number in range(5):
        known.add(f"value-{number}-value", needles_of(f"value-{number}-value"))
        assert known.version not in seen
        seen.add(known.version)
    assert Needles(1, 1, coded("REDACTED")).version is not None


@pytest.mark.parametrize("count", [1, 50])
def test_a_mapped_file(count: int) -> None:
    known = Needles(100, 1)
    for number in range(count):
        known.add(f"{PLAIN}{number}", needles_of(f"{PLAIN}{number}"))
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 100_001 + f"{PLAIN}0".encode())
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            assert [needle.value for needle in known.near(data)] == [f"{PLAIN}0"]


def test_what_is_learned_in_the_midst_of_learning_is_known() -> None:
    """A signal's handler runs between any two steps of what it interrupts, and learns as well."""

    def sound(known: Needles, values: set[str]) -> bool:
        texts = {value: f"<{value}>".encode() for value in values}
        return all(
            masked(text, known.near(text), MASK) == b"<REDACTED>" for text in texts.values()
        ) and {one.value for those in known._grams.values() for one in those} == {
            one.value for one in known
        }

    # They have parts of what is forgotten meanwhile, and of what is learned.
    inner = ["inner-aaaaaaa", "inner-bbbbbbb", "outer-fffffff", *(f"more-{n * 7}" for n in "ghijk")]

    def learn_interrupted_at(step: int, count: int) -> bool:
        known = Needles(5, 2)
        for letter in "abcde":
            known.add(f"held-{letter * 7}", needles_of(f"held-{letter * 7}"))
        steps = 0

        def each(frame: FrameType, event: str, _: object) -> object:
            nonlocal steps
            if frame.f_code.co_filename != values_known.__file__:
                return None
            if event in ("line", "opcode"):
                frame.f_trace_opcodes = True
                steps += 1
                if steps == step:
                    for value in inner[:count]:
                        known.add(value, needles_of(value))
                        assert masked(value.encode(), known.near(value.encode()), MASK) == MASK
            return each

        before = sys.gettrace()
        outer = needles_of("outer-fffffff")
        sys.settrace(each)
        try:
            known.add("outer-fffffff", outer)
        finally:
            sys.settrace(before)
        assert sound(known, {one.value for one in known})
        # The next makes it forget what was too much.
        known.add("after-0123456", needles_of("after-0123456"))
        values = {one.value for one in known}
        assert len(values) == 5
        assert sound(known, values)
        return steps >= step

    for count in (1, len(inner)):
        step = 1
        while learn_interrupted_at(step, count):
            step += rounds(7, 1)
        assert step > 200


def test_of_many_threads() -> None:
    known = Needles(1_000, 2)
    failed: list[str] = []

    def work(thread: int) -> None:
        for number in range(300):
            value = f"{thread}-{number}-{number * 7919:08x}"
            known.add(value, needles_of(value))
            text = f"<{value}>".encode()
            found = masked(text, known.near(text), MASK) == b"<REDACTED>"
            # The others may have crowded it out by then.
            if not found and known.known(value, passing=False):
                failed.append(value)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
