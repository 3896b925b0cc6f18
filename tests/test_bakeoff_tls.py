"""TLS plainly, recorded and replayed: its facts, and each way to fail."""

from __future__ import annotations

from pathlib import Path

import requests
import urllib3

from mxm_dataio import Store
from tests.answers import TEXT
from tests.harness import observe, three_ways
from tests.servers import RawServer, answer, responder, tls_server


def test_tls_facts_and_failures(tmp_path: Path) -> None:
    context, bundle = tls_server(tmp_path)
    with RawServer(responder({"/": answer(200, TEXT)}), tls=context) as server:
        three_ways(tmp_path / "1", server, lambda: observe(requests.get(server.url, verify=bundle)))
        refused = three_ways(tmp_path / "2", server, lambda: requests.get(server.url))
        with urllib3.PoolManager(ca_certs=bundle) as pool:
            three_ways(tmp_path / "3", None, lambda: pool.request("GET", server.url).data)
    assert refused[0] == "SSLError"
    with Store(tmp_path / "1") as store:
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
