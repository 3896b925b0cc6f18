"""What a program says of TLS and of its credentials reaches the server, or fails, as ever."""

from __future__ import annotations

import base64
import hashlib
import ssl
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3
from requests.adapters import HTTPAdapter

from mxm_dataio import IngestSession
from mxm_dataio.redaction import DEFAULT
from tests.support.harness import EXACT, SOURCE, observe, outcome
from tests.support.servers import RawServer, Request, answer, responder, tls_server
from tests.support.ways import HOOK, HOWS, MOUNT, Opener, opener, wire_ways

ROUTES = {"/": answer(200, b"secure")}


@dataclass
class Client:
    """The files that a client with a certificate needs."""

    ca: str
    certificate: str
    key: str
    both: str


def guarded(tmp_path: Path, version: ssl.TLSVersion) -> tuple[ssl.SSLContext, Client]:
    """Return a server's context that wants a client's certificate, and such a client."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    mine = authority.issue_cert("someone@example.org")
    paths = [str(tmp_path / name) for name in ("ca.pem", "my.crt", "my.key", "my.pem")]
    authority.cert_pem.write_to_path(paths[0])
    mine.cert_chain_pems[0].write_to_path(paths[1])
    mine.private_key_pem.write_to_path(paths[2])
    mine.private_key_and_cert_chain_pem.write_to_path(paths[3])
    return context, Client(*paths)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate(version: ssl.TLSVersion, how: str, tmp_path: Path) -> None:
    context, client = guarded(tmp_path, version)

    def work(opener: Opener) -> Any:
        pair = (client.certificate, client.key)
        with opener() as session:
            got = [observe(session.get(server.url, verify=client.ca, cert=pair))]
        with opener() as session:
            session.cert, session.verify = client.both, client.ca
            got += [observe(session.get(server.url))]
            got += [outcome(lambda: session.get(server.url, cert=str(tmp_path / "none")).text)]
        if how == HOOK:
            files = {"cert_file": client.certificate, "key_file": client.key}
            with urllib3.PoolManager(ca_certs=client.ca, **files) as manager:
                got += [observe(manager.request("GET", server.url))]
            with urllib3.HTTPSConnectionPool(
                server.host, server.port, ca_certs=client.ca, **files
            ) as pool:
                got += [observe(pool.request("GET", "/"))]
        return got

    with RawServer(responder(ROUTES), tls=context) as server:
        seen = wire_ways(tmp_path / "root", server, work, how)
    assert [one["status"] for one in seen if isinstance(one, dict)] == [200] * (len(seen) - 1)
    assert seen[2][0] == "OSError"


@pytest.mark.parametrize("client", [*HOWS, "urllib3"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_missing_client_certificate(version: ssl.TLSVersion, client: str, tmp_path: Path) -> None:
    """In TLS 1.3 the refusal comes after the handshake, amid whatever the client does then."""
    context, files = guarded(tmp_path, version)

    def work(opener: Opener) -> Any:
        if client == "urllib3":
            with urllib3.PoolManager(ca_certs=files.ca, retries=False) as pool:
                return pool.request("GET", server.url)
        with opener() as session:
            return session.get(server.url, verify=files.ca)

    def run(mode: str | None) -> Any:
        if mode is None:
            return outcome(lambda: work(opener()))
        options = {"hook": client != MOUNT, "redaction": EXACT}
        with IngestSession(SOURCE, tmp_path / "root", mode, **options) as ingest:
            return outcome(lambda: work(opener(ingest if client == MOUNT else None)))

    with RawServer(responder(ROUTES), tls=context) as server:
        plain, recorded = run(None), run("record")
    assert run("replay") == recorded
    families = {"SSLError", "ConnectionError", "ProtocolError"}
    assert {plain[0], recorded[0]} <= families
    if version == ssl.TLSVersion.TLSv1_2:
        assert recorded == plain


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RawServer]:
    context, _ = tls_server(tmp_path)
    with RawServer(responder(ROUTES), tls=context) as running:
        yield running


def fingerprint(server: RawServer) -> str:
    pem = ssl.get_server_certificate((server.host, server.port))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


CHECKS: dict[str, tuple[Callable[[RawServer], dict[str, Any]], bool]] = {
    "good-hostname": (lambda _: {"assert_hostname": "localhost"}, True),
    "wrong-hostname": (lambda _: {"assert_hostname": "elsewhere.test"}, False),
    "no-hostname": (lambda _: {"assert_hostname": False}, True),
    "server-hostname": (lambda _: {"server_hostname": "localhost"}, True),
    "wrong-server-hostname": (lambda _: {"server_hostname": "elsewhere.test"}, False),
    "good-fingerprint": (lambda server: {"assert_fingerprint": fingerprint(server)}, True),
    "wrong-fingerprint": (lambda _: {"assert_fingerprint": "aa" * 32}, False),
}


@pytest.mark.parametrize("name", CHECKS)
def test_checks_of_urllib3(name: str, server: RawServer, tmp_path: Path) -> None:
    given, good = CHECKS[name]
    options = given(server)

    def work(_: Opener) -> Any:
        with urllib3.PoolManager(ca_certs=str(tmp_path / "ca.pem"), retries=False, **options) as p:
            return observe(p.request("GET", server.url))

    seen = wire_ways(tmp_path / "root", server, work)
    assert seen["status"] == 200 if good else seen[0] == "SSLError"


class OwnContext(HTTPAdapter):
    """The way requests' documentation shows to bring an ``SSLContext`` of one's own."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        self._context = context
        self._options = options
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        given = {"ssl_context": self._context, **self._options}
        return super().init_poolmanager(*args, **kwargs, **given)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("fits", [False, True])
def test_context_of_an_adapter(fits: bool, how: str, server: RawServer, tmp_path: Path) -> None:
    def work(opener: Opener) -> Any:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem") if fits else None)
        options = {"assert_hostname": "localhost"} if fits else {}
        with opener({"https://": OwnContext(context, **options)}) as session:
            return observe(session.get(f"https://localhost:{server.port}"))

    seen = wire_ways(tmp_path / "root", server, work, how)
    assert seen["status"] == 200 if fits else seen[0] == "SSLError"


@pytest.mark.parametrize("how", HOWS)
def test_unverified_calls_warn(how: str, server: RawServer, tmp_path: Path) -> None:
    warned: list[list[str]] = []

    def work(opener: Opener) -> Any:
        with warnings.catch_warnings(record=True) as caught, opener() as session:
            warnings.simplefilter("always")
            seen = observe(session.get(server.url, verify=False))
        names = [warning.category.__name__ for warning in caught]
        warned.append([name for name in names if name == "InsecureRequestWarning"])
        return seen

    wire_ways(tmp_path / "root", server, work, how)
    # Replay makes no insecure connection, and so has nothing to warn of.
    assert warned == [["InsecureRequestWarning"], ["InsecureRequestWarning"], []]


@pytest.mark.parametrize("how", HOWS)
def test_netrc(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password netrc-secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    basic = base64.b64encode(b"someone:netrc-secret").decode()

    def page(request: Request) -> bytes:
        return answer(200 if request.header("Authorization") == f"Basic {basic}" else 401)

    def work(opener: Opener) -> Any:
        with opener() as session:
            return observe(session.get(server.url))

    with RawServer(responder({"/": page})) as server:
        seen = wire_ways(tmp_path / "root", server, work, how, redaction=DEFAULT)
    assert seen["status"] == 200
    stored = [p.read_bytes() for p in (tmp_path / "root").rglob("*") if p.is_file()]
    assert not [data for data in stored if b"netrc-secret" in data or basic.encode() in data]
    # Another password, another person, no netrc at all: the same call.
    netrc.unlink()
    with IngestSession(SOURCE, tmp_path / "root", "replay", hook=how == HOOK) as ingest:
        assert work(opener(ingest if how == MOUNT else None)) == seen
