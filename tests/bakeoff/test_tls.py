"""TLS plainly, recorded and replayed: its facts, and each way to fail."""

from __future__ import annotations

import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
import urllib3

from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.answers import TEXT
from tests.support.harness import Raised, mounted, observe, outcome, three_ways
from tests.support.servers import Connection, RawServer, answer, responder, tls_server


def three_clients(root: Path, server: RawServer | None, url: str, bundle: str | bool) -> Any:
    """Make a call by each client in three ways; return what requests saw."""

    def work(session: requests.Session) -> Any:
        return observe(session.get(url, verify=bundle, timeout=20))

    def hooked() -> Any:
        with requests.Session() as session:
            return work(session)

    def pooled() -> Any:
        with urllib3.PoolManager(ca_certs=bundle if isinstance(bundle, str) else None) as pool:
            return [
                outcome(lambda tries=tries: observe(pool.request("GET", url, retries=tries)))
                for tries in (False, 0, 1)
            ]

    plain = three_ways(root / "1", server, hooked)
    assert mounted(root / "2", server, work) == plain
    three_ways(root / "3", server, pooled)
    return plain


def test_tls_facts(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:
        plain = three_clients(tmp_path, server, f"{server.url}/", bundle)
    assert plain["content"] == TEXT
    with RecordingStore(tmp_path / "1") as store:
        (exchange,) = store.exchanges(store.sessions()[0].id)
    peer, timings = exchange.responses[0].peer, exchange.responses[0].timings
    assert peer.address == f"127.0.0.1:{server.port}"
    assert peer.tls_version
    assert peer.tls_version.startswith("TLSv1.")
    assert peer.tls_cipher
    assert peer.tls_certificate
    assert len(peer.tls_certificate) == 64
    assert timings.connect is not None
    assert timings.tls is not None
    assert timings.first_byte is not None
    assert timings.total is not None
    assert timings.connect + timings.tls < timings.first_byte <= timings.total


def test_an_untrusted_server(tmp_path: Path) -> None:
    context, _ = tls_server(tmp_path)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:
        plain = three_clients(tmp_path, None, f"{server.url}/", True)
        assert server.hits == 0
    assert plain.name == "SSLError"
    assert "CERTIFICATE_VERIFY_FAILED" in plain.text


def test_another_hostname(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def everything_here(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", everything_here)
    context, bundle = tls_server(tmp_path)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:
        url = f"https://other.test:{server.port}/"
        plain = three_clients(tmp_path, None, url, bundle)
    assert plain.name == "SSLError"
    assert "other.test" in plain.text


def test_an_expired_certificate(tmp_path: Path) -> None:
    authority, bundle = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    now = datetime.now(UTC)
    old = authority.issue_cert("127.0.0.1", not_after=now - timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.configure_cert(context)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:
        plain = three_clients(tmp_path, None, f"{server.url}/", str(bundle))
    assert plain.name == "SSLError"
    assert "expired" in plain.text


def shouting(connection: Connection) -> None:
    """Answer whatever comes in plain text."""
    connection.send(b"HTTP/1.1 400 Speak plainly\r\nContent-Length: 0\r\n\r\n")
    with contextlib.suppress(ValueError):
        connection.read_request()


def test_a_server_that_speaks_no_tls(tmp_path: Path) -> None:
    with RawServer(shouting) as server:
        plain = three_clients(tmp_path, None, f"https://127.0.0.1:{server.port}/", True)
    assert isinstance(plain, Raised)
    assert plain.name == "SSLError"


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_unverified(tmp_path: Path) -> None:
    context, _ = tls_server(tmp_path)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:

        def work(session: requests.Session) -> Any:
            session.verify = False
            return observe(session.get(server.url)), observe(session.get(server.url))

        mounted(tmp_path, server, work)


def test_a_body_cut_off_without_goodbye(tmp_path: Path) -> None:
    """The connection ends amid the body: TLS tells this from an end in good order."""
    context, bundle = tls_server(tmp_path)

    def rude(connection: Connection) -> None:
        if connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of")
            connection.interrupt()

    with RawServer(rude, tls=context) as server:

        def work(session: requests.Session) -> Any:
            got: list[bytes] = []
            response = session.get(server.url, verify=bundle, stream=True)
            return outcome(lambda: got.extend(response.iter_content(3))), got

        def hooked() -> Any:
            with requests.Session() as session:
                return work(session)

        plain = three_ways(tmp_path / "1", server, hooked)
        assert mounted(tmp_path / "2", server, work) == plain
    assert b"".join(plain[1]) == b"half of"
