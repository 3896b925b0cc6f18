"""Feeds parsers what nobody would write: of the wire, of a store, of files from elsewhere.

    python -m tests.trust.fuzz [--seconds N] [--seed N]

Each target takes sound samples, with bytes of theirs changed, cut, doubled and put elsewhere, and
says what has to hold of the outcome: an answer, or the one error that is promised. Each gets an
equal part of the time. Prints how many inputs were tried and what was found; exits with 1 if
anything was.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from mxm_dataio.adapters import failures
from mxm_dataio.adapters.framing import MessageParser, encode
from mxm_dataio.compression import compress, decompress
from mxm_dataio.config import load
from mxm_dataio.entries import Entry
from mxm_dataio.errors import ConfigError, IntegrityError
from mxm_dataio.formats import cassette
from mxm_dataio.formats.deriving import DERIVING
from mxm_dataio.identity import identify
from mxm_dataio.journal import MAGIC, Left, framed
from mxm_dataio.memory import Tape
from mxm_dataio.models import Failure, Session
from mxm_dataio.prefixes import Prefixes
from mxm_dataio.proofs import Head, go_on, include, parse
from mxm_dataio.redaction import DEFAULT
from mxm_dataio.store import Store
from tests.answers import ANSWERS, RUINS
from tests.trust.small import fill

Check = Callable[[bytes], None]
_SECONDS = 40.0
# For one input; what takes longer is a fault as well.
_LONGEST = 10.0
_SPICES = (
    b"\r\n", b"\n", b"\r\n\r\n", b"\0", b"\xff", b":", b";", b",", b"0", b"-1", b"ffffffffffffffff",
    b"99999999999999999999", b"1e999", b"null", b"{}", b"[]", b'"', b"\\", b"%", b"../", b"=",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 7\r\n", b"HTTP/1.1 100 \r\n\r\n",
)  # fmt: skip


def changed(sample: bytes, draw: random.Random) -> bytes:
    """Return a sample with a few of its bytes otherwise."""
    data = bytearray(sample)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        at = draw.randrange(len(data) + 1)
        end = min(len(data), at + draw.choice((0, 1, 1, 2, 8, 64)))
        match draw.randrange(5):
            case 0:
                data[at:end] = draw.choice(_SPICES)
            case 1:
                data[at:end] = draw.randbytes(end - at)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * draw.choice((1, 2, 20))
            case 4:
                to = draw.randrange(len(data) + 1)
                data[to:to] = data[at:end]
    return bytes(data)


# -- the wire ----------------------------------------------------------------------------------


class _Source:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._data))  # type: ignore[arg-type]


def _client(data: bytes) -> bytes | None:
    """Return the body that http.client reads; ``None`` if it refuses."""
    response = http.client.HTTPResponse(_Source(data), method="GET")  # type: ignore[arg-type]
    body = bytearray()
    try:
        response.begin()
        while piece := response.read(997):
            body += piece
    except (http.client.HTTPException, ValueError, OSError):
        return None
    finally:
        response.close()
    # It reports a body that is too short only where all of it is asked for.
    return None if response.length else bytes(body)


def wire(data: bytes) -> None:
    """The parser has the payload that http.client has, however the bytes are cut."""
    draw = random.Random(hashlib.sha256(data).digest())
    taken = bytearray()
    parser = MessageParser("GET", taken.extend)
    view, at = memoryview(data), 0
    while at < len(data):
        end = at + draw.choice((1, 2, 7, 100, 10_000))
        parser.feed(view[at:end])
        at = end
    parser.begin()
    parser.feed_eof()
    framing = parser.chunks.framing() if parser.chunks is not None else None
    if framing is not None:
        sum(len(lead) + size for lead, size in encode(framing, len(taken)))
    expected = _client(data)
    if expected is not None and parser.status is not None and parser.complete:
        assert bytes(taken) == expected, (bytes(taken)[:80], expected[:80])


def cuts(data: bytes) -> None:
    """A chunked body that was parsed is framed again as it came."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = data.partition(b"\r\n\r\n")[2]
    taken = bytearray()
    parser = MessageParser("GET", taken.extend)
    parser.feed(memoryview(head + body))
    framing = parser.chunks.framing() if parser.chunks is not None else None
    if framing is None or not parser.complete:
        return
    made, left = bytearray(), memoryview(bytes(taken))
    for lead, size in encode(framing, len(taken)):
        made += lead + left[:size]
        left = left[size:]
    assert body.startswith(made), (made[:80], body[:80])
    assert len(made) > 0


# -- what is stored ----------------------------------------------------------------------------


def _journal(folder: Path) -> Check:
    path = folder / "fuzzed.journal"

    def check(data: bytes) -> None:
        path.write_bytes(MAGIC + data)
        try:
            for entry in Left(path, gone=True).entries():
                assert isinstance(entry, Entry)
                framed(entry)
        except IntegrityError as exc:
            _names(exc, path)

    return check


def _names(exc: Exception, path: Path) -> None:
    """An error names the file that is at fault."""
    if str(path) not in str(exc):
        raise AssertionError(f"the error names no file: {exc}")


def _entries(data: bytes) -> None:
    """Documents of entries that pass the journal's own check: what a forger would write."""
    document, _, content = data.partition(b"\n")
    try:
        entry = Entry.decode(document, content)
    except (*_malformed(), IntegrityError):
        return
    framed(entry)


def _malformed() -> tuple[type[Exception], ...]:
    from mxm_dataio.errors import MALFORMED

    return MALFORMED


def _prefixes(data: bytes) -> None:
    for size in (0, 5_000_000):
        found = Prefixes.decode(data, size)
        assert found is None or found.size == size


def _frames(data: bytes) -> None:
    for size in (0, 40, 4_096):
        try:
            found = decompress(data, size)
        except (IntegrityError, ConfigError, OSError):
            continue
        assert len(found) <= size


def _failures(data: bytes) -> None:
    before = set(sys.modules)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        exc = failures.load(Failure("x.Y", "text", document))
    except IntegrityError:
        return
    assert isinstance(exc, Exception)
    known = {"socks", "ssl", "zlib", "_queue", "requests", "urllib3"}
    assert {name.partition(".")[0] for name in set(sys.modules) - before} <= known


# -- from elsewhere ----------------------------------------------------------------------------


def _proofs(data: bytes) -> None:
    try:
        proof = parse(data.decode("utf-8", "replace"))
    except IntegrityError:
        return
    proof.holds()
    str(proof.head)


def _heads(data: bytes) -> None:
    try:
        head = Head.parse(data.decode("utf-8", "replace"))
    except ValueError:
        return
    assert Head.parse(str(head)) == head


def _cassettes(folder: Path) -> Check:
    path = folder / "fuzzed.json"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            document = cassette.parse(data, str(path))
            tape = Tape(path, document, DERIVING)
            for held in tape.held:
                held.recording()
        except IntegrityError as exc:
            _names(exc, path)

    return check


def _config(folder: Path) -> Check:
    def check(data: bytes) -> None:
        for suffix in ("toml", "json", "yaml"):
            path = folder / f"fuzzed.{suffix}"
            path.write_bytes(data)
            with contextlib.suppress(ConfigError):
                load({}, {"MXM_DATAIO_CONFIG": str(path)})

    return check


def _identity(data: bytes) -> None:
    """Any call has one identity."""
    line, _, body = data.partition(b"\n")
    url = "http://h.test/" + line.decode("latin-1")
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        pairs = (("Content-Type", f"{kind}; boundary=edge"), ("Range", line.decode("latin-1")))
        first = identify("POST", url, headers=pairs, body=body).params_hash()
        assert first == identify("POST", url, headers=pairs, body=body).params_hash()


def _redaction(data: bytes) -> None:
    """Redacting twice is redacting once, and no input is too odd."""
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        once = DEFAULT.body(data, kind)
        assert DEFAULT.body(once, kind) == once
    head = DEFAULT.head(data)
    assert DEFAULT.head(head) == head


def targets(folder: Path) -> dict[str, tuple[Check, Sequence[bytes]]]:
    """Return what is fuzzed: name → what has to hold, and samples."""
    ids = fill(folder / "root")
    with Store(folder / "root", readonly=True) as store:
        proof = include(store, ids[0]).text().encode()
        head = Head.parse(json.loads(proof)["head"])
        later = go_on(store, head).text().encode()
        (session,) = [one for one in store.sessions() if one.id == ids[0]]
        entries = [_entry(store, session)]
    answers = [*ANSWERS.values(), *RUINS.values()]
    document, content = entries[0].encode()
    failure = (
        b'{"exception":["builtins","OSError"],"args":[5,{"bytes":"x"}],"state":{"a":{"met":0}}}'
    )
    sample = Path(__file__).parents[1] / "vectors" / "params_hash.json"
    vectors = [json.dumps(one).encode() for one in json.loads(sample.read_bytes())[:8]]
    return {
        "answers on the wire": (wire, answers),
        "chunked bodies": (cuts, [ANSWERS[name] for name in ("chunked", "chunk-extensions")]),
        "journals": (_journal(folder), [b"".join(map(framed, entries))]),
        "entries": (_entries, [document + b"\n" + content]),
        "prefixes": (_prefixes, [Prefixes.of(io.BytesIO(bytes(5_000_000)), 1 << 20)[0].encode()]),
        "zstd frames": (_frames, [compress(b"a text that repeats, " * 200) or b""]),
        "failures": (_failures, [failure]),
        "proofs": (_proofs, [proof, later]),
        "heads": (_heads, [str(head).encode()]),
        "cassettes": (_cassettes(folder), _cassette_samples(folder)),
        "settings": (_config(folder), [b'{"ttl": 5, "strict": true}', b"ttl = 5\n[dataio]\nx=1\n"]),
        "identity": (_identity, [b"p?a=1&b=%20\na=1&b=2", b"x\n" + vectors[0], *vectors]),
        "redaction": (
            _redaction,
            [b'{"token": "s", "a": [{"password": 1}]}', b"a=1&key=2", *answers],
        ),
    }


def _entry(store: Store, session: Session) -> Entry:
    from mxm_dataio.entries import InSession
    from mxm_dataio.recordings import Recording, entry_of

    exchange = next(one for one in store.exchanges(session.id) if one.responses)
    payloads = {}
    for one in exchange.responses:
        if one.checksum:
            with store.open(one) as file:
                payloads[one.checksum] = file.read()
    held = InSession(session.id, session.root_id, session.source, session.as_of)
    return entry_of(Recording(exchange, payloads), held, exchange.request.id)


def _cassette_samples(folder: Path) -> list[bytes]:
    import requests

    from mxm_dataio import use_cassette
    from tests.servers import RawServer, answer, responder

    samples = []
    bodies = (b'{"a": [1, 2.5], "b": null}', b"one\r\ntwo\r\n", bytes(range(256)))
    for number, body in enumerate(bodies):
        path = folder / f"sample{number}.json"
        with (
            RawServer(responder({"/p": answer(200, body, chunked=[3])})) as server,
            use_cassette(path),
        ):
            requests.post(f"{server.url}/p?q=1", json={"x": 1}, timeout=10)
        samples.append(path.read_bytes())
    return samples


# -- trying ------------------------------------------------------------------------------------


def tried(check: Check, samples: Sequence[bytes], seconds: float, draw: random.Random) -> int:
    """Try a target for so long; return how many inputs it had, and raise on the first fault."""
    for sample in samples:
        check(sample)
    count, until = len(samples), time.monotonic() + seconds
    while time.monotonic() < until:
        data = changed(draw.choice(samples), draw)
        try:
            signal.setitimer(signal.ITIMER_REAL, _LONGEST)
            check(data)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Exception as exc:
            exc.add_note(f"input: {data[:2000]!r}")
            raise
        count += 1
    return count


def _took_too_long(*_: object) -> None:
    raise TimeoutError(f"it took longer than {_LONGEST} seconds")


def main() -> int:
    """Fuzz all targets, print figures, and return 1 if a fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust.fuzz")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for all targets together")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    asked = parser.parse_args()
    faults = inputs = 0
    signal.signal(signal.SIGALRM, _took_too_long)
    with tempfile.TemporaryDirectory() as name:
        found = targets(Path(name))
        for title, (check, samples) in found.items():
            draw = random.Random(f"{asked.seed} {title}")
            try:
                inputs += tried(check, samples, asked.seconds / len(found), draw)
            except Exception:
                faults += 1
                print(f"{title} (seed {asked.seed}):\n{traceback.format_exc()}", flush=True)
    print(
        f"{len(found)} parsers fuzzed with {inputs:,} inputs, {faults} faults (seed {asked.seed})"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
