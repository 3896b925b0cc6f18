"""The contestants: each records and replays the same calls in its own way, with its defaults.

A module of another library is imported where it is used: a process holds one contestant, and
several patch what the others run on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .server import REPEATS

STEP = 1 << 16
SOURCE = "bench"


class Client(Protocol):
    """Makes calls."""

    def get(self, url: str) -> bytes:
        """Return an answer's body."""

    def stream(self, url: str) -> Iterator[bytes]:
        """Yield an answer's body piece by piece."""

    def close(self) -> None:
        """Close its connections."""


def item(number: int) -> bytes:
    """Return an answer of the form that the server gives, of one's own."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32].encode() * REPEATS


Clients = Callable[[], Client]
Answers = Mapping[str, bytes]


class RequestsClient:
    """Calls through a ``requests.Session``."""

    def __init__(self, session: Any = None) -> None:
        import requests

        self.session = session if session is not None else requests.Session()

    def get(self, url: str) -> bytes:
        content: bytes = self.session.get(url).content
        return content

    def stream(self, url: str) -> Iterator[bytes]:
        with self.session.get(url, stream=True) as response:
            yield from response.iter_content(STEP)

    def close(self) -> None:
        self.session.close()


class PoolClient:
    """Calls through a urllib3 ``PoolManager``."""

    def __init__(self) -> None:
        import urllib3

        self.pool = urllib3.PoolManager()

    def get(self, url: str) -> bytes:
        content: bytes = self.pool.request("GET", url).data
        return content

    def stream(self, url: str) -> Iterator[bytes]:
        response = self.pool.request("GET", url, preload_content=False)
        yield from response.stream(STEP)
        response.release_conn()

    def close(self) -> None:
        self.pool.clear()


class Contestant:
    """Plain requests; the base of the others.

    Attributes:
        name: what the report calls it.
        package: the module it needs.
        own: it is this project.
        keeps: it stores what passes.
        threads: it is meant to be used in several threads.
    """

    name: ClassVar[str] = "plain requests"
    package: ClassVar[str] = "requests"
    own: ClassVar[bool] = False
    keeps: ClassVar[bool] = False
    threads: ClassVar[bool] = True

    @classmethod
    def installed(cls) -> bool:
        """Say whether its package is here."""
        return find_spec(cls.package) is not None

    def recording(self, folder: Path) -> AbstractContextManager[Clients]:
        """Record into a folder what the clients do; plainly, nothing is recorded."""
        return contextlib.nullcontext(RequestsClient)

    def replaying(self, folder: Path, answers: Answers) -> AbstractContextManager[Clients]:
        """Answer from what was recorded in a folder; ``answers`` is for those that record none."""
        raise NotImplementedError

    def answers(self, urls: Sequence[str]) -> Answers:
        """Return what a contestant that records nothing shall answer."""
        return {url: item(number) for number, url in enumerate(urls)}

    def stored(self, folder: Path) -> int:
        """Return how many calls a folder holds."""
        return 0


class Urllib3(Contestant):
    """Bare urllib3."""

    name = "bare urllib3"
    package = "urllib3"

    def recording(self, folder: Path) -> AbstractContextManager[Clients]:
        return contextlib.nullcontext(PoolClient)


class Null(Contestant):
    """The floor of replay: an adapter that builds its response from constants."""

    name = "null adapter"

    def answers(self, urls: Sequence[str]) -> Answers:
        return dict.fromkeys(urls, item(0))

    @contextmanager
    def replaying(self, folder: Path, answers: Answers) -> Iterator[Clients]:
        import requests
        import urllib3
        from requests.adapters import HTTPAdapter

        body = next(iter(answers.values()))
        headers = {
            "Server": "nginx",
            "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(body)),
            "Connection": "keep-alive",
        }

        class NullAdapter(HTTPAdapter):
            def send(self, request: Any, *_args: Any, **_kwargs: Any) -> Any:
                answer = urllib3.HTTPResponse(
                    body=io.BytesIO(body),
                    headers=headers,
                    status=200,
                    version=11,
                    reason="OK",
                    preload_content=False,
                    request_method=request.method,
                )
                return self.build_response(request, answer)

        def client() -> Client:
            session = requests.Session()
            session.mount("http://", NullAdapter())
            return RequestsClient(session)

        yield client


class Hook(Contestant):
    """This project through its hook."""

    name = "mxm-dataio, hook"
    package = "mxm_dataio"
    own = True
    keeps = True

    def _clients(self, ingest: Any) -> Clients:
        return RequestsClient

    @contextmanager
    def _session(self, folder: Path, mode: str) -> Iterator[Clients]:
        from mxm_dataio import IngestSession, Mode

        hook = type(self) is not Mounted
        with IngestSession(source=SOURCE, root=folder, mode=Mode(mode), hook=hook) as ingest:
            yield self._clients(ingest)
        if ingest.session.status != "complete":
            raise RuntimeError(f"the session is {ingest.session.status}: {ingest.session.warnings}")

    def recording(self, folder: Path) -> AbstractContextManager[Clients]:
        return self._session(folder, "record")

    def replaying(self, folder: Path, answers: Answers) -> AbstractContextManager[Clients]:
        return self._session(folder, "replay")

    def stored(self, folder: Path) -> int:
        """Return how many calls the newest session holds."""
        from mxm_dataio import Store

        with Store(folder, readonly=True) as store:
            return len(store.requests(store.sessions(SOURCE)[-1].id))


class Mounted(Hook):
    """This project mounted on the session, without its hook."""

    name = "mxm-dataio, mounted"

    def _clients(self, ingest: Any) -> Clients:
        import requests

        from mxm_dataio import CaptureAdapter

        def client() -> Client:
            session = requests.Session()
            session.mount("http://", CaptureAdapter(ingest=ingest))
            return RequestsClient(session)

        return client


class HookUrllib3(Hook):
    """This project through its hook, without requests."""

    name = "mxm-dataio, hook, urllib3"

    def _clients(self, ingest: Any) -> Clients:
        return PoolClient


class Vcrpy(Contestant):
    """vcrpy, a YAML cassette."""

    name = "vcrpy"
    package = "vcr"
    keeps = True

    def _cassette(self, folder: Path, mode: str) -> Any:
        import vcr

        return vcr.VCR().use_cassette(str(folder / "cassette.yaml"), record_mode=mode)

    @contextmanager
    def recording(self, folder: Path) -> Iterator[Clients]:
        with self._cassette(folder, "all"):
            yield RequestsClient

    @contextmanager
    def replaying(self, folder: Path, answers: Answers) -> Iterator[Clients]:
        with self._cassette(folder, "none"):
            yield RequestsClient

    def stored(self, folder: Path) -> int:
        with (folder / "cassette.yaml").open() as file:
            return sum(line.startswith("- request:") for line in file)


class Betamax(Contestant):
    """betamax, a JSON cassette; without its option for exact bytes it alters bodies."""

    name = "betamax"
    package = "betamax"
    keeps = True
    # A recorder has one requests.Session.
    threads = False

    @contextmanager
    def _cassette(self, folder: Path, mode: str) -> Iterator[Clients]:
        import betamax
        import requests

        session = requests.Session()
        recorder = betamax.Betamax(session, cassette_library_dir=str(folder))
        with recorder.use_cassette("cassette", record=mode, preserve_exact_body_bytes=True):
            yield lambda: RequestsClient(session)

    def recording(self, folder: Path) -> AbstractContextManager[Clients]:
        return self._cassette(folder, "all")

    def replaying(self, folder: Path, answers: Answers) -> AbstractContextManager[Clients]:
        return self._cassette(folder, "none")

    def stored(self, folder: Path) -> int:
        import json

        text = (folder / "cassette.json").read_text()
        return len(json.loads(text)["http_interactions"])


class CacheSQLite(Contestant):
    """requests-cache, in SQLite."""

    name = "requests-cache, SQLite"
    package = "requests_cache"
    keeps = True
    backend: ClassVar[str] = "sqlite"

    def _session(self, folder: Path, **options: Any) -> Any:
        from requests_cache import CachedSession

        return CachedSession(str(folder / "cache"), backend=self.backend, **options)

    @contextmanager
    def _clients(self, session: Any) -> Iterator[Clients]:
        # One for all threads, as its documentation has it.
        try:
            yield lambda: RequestsClient(session)
        finally:
            session.close()

    def recording(self, folder: Path) -> AbstractContextManager[Clients]:
        return self._clients(self._session(folder))

    def replaying(self, folder: Path, answers: Answers) -> AbstractContextManager[Clients]:
        return self._clients(self._session(folder, only_if_cached=True))

    def stored(self, folder: Path) -> int:
        session = self._session(folder)
        try:
            return len(session.cache.responses)
        finally:
            session.close()


class CacheFiles(CacheSQLite):
    """requests-cache, in files."""

    name = "requests-cache, files"
    backend = "filesystem"


class Warcio(Contestant):
    """warcio's ``capture_http``, to a file; it does not replay."""

    name = "warcio"
    package = "warcio"
    keeps = True

    @contextmanager
    def recording(self, folder: Path) -> Iterator[Clients]:
        # To be imported before requests.
        from warcio.capture_http import capture_http

        with capture_http(str(folder / "calls.warc.gz")):
            yield RequestsClient

    def stored(self, folder: Path) -> int:
        from warcio.archiveiterator import ArchiveIterator

        with (folder / "calls.warc.gz").open("rb") as file:
            return sum(record.rec_type == "response" for record in ArchiveIterator(file))


class Responses(Contestant):
    """``responses``, given the answers by hand; it does not record to anything it replays."""

    name = "responses"
    package = "responses"

    @contextmanager
    def replaying(self, folder: Path, answers: Answers) -> Iterator[Clients]:
        import responses

        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for url, body in answers.items():
                mock.add(responses.GET, url, body=body)
            yield RequestsClient


CONTESTANTS: Mapping[str, type[Contestant]] = {
    "requests": Contestant,
    "urllib3": Urllib3,
    "null": Null,
    "mounted": Mounted,
    "hook": Hook,
    "urllib3-hook": HookUrllib3,
    "warcio": Warcio,
    "cache-sqlite": CacheSQLite,
    "cache-files": CacheFiles,
    "betamax": Betamax,
    "vcrpy": Vcrpy,
    "responses": Responses,
}
RECORD = (
    "requests", "urllib3", "mounted", "hook", "urllib3-hook",
    "warcio", "cache-sqlite", "cache-files", "betamax", "vcrpy",
)  # fmt: skip
REPLAY = (
    "null", "mounted", "hook", "urllib3-hook",
    "responses", "cache-sqlite", "cache-files", "betamax", "vcrpy",
)  # fmt: skip


def ours(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return those that are this project or what it is measured against."""
    return tuple(key for key in keys if _of_ours(CONTESTANTS[key]))


def _of_ours(kind: type[Contestant]) -> bool:
    return kind.own or kind in (Contestant, Urllib3, Null)
