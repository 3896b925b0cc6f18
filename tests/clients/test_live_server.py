"""A Flask app that its tests serve at a port of their own, and that asks an API of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.market_server import MarketServer
from tests.clients.harness import WHY
from tests.support.pytests import bare, cassettes, run

pytest.importorskip("flask", reason=WHY)
pytest_plugins = ["pytester"]

TESTS = """
    import threading
    import flask, pytest, requests
    from werkzeug.serving import make_server

    app = flask.Flask("prices")

    @app.get("/first")
    def first():
        answer = requests.get("{url}/symbols?page=1", timeout=5)
        return {"first": answer.json()["symbols"][0], "day": flask.request.args["day"]}

    @app.post("/orders")
    def orders():
        kept = flask.request.files["file"].read().decode()
        return flask.redirect(f"/first?day={kept}")

    @pytest.fixture(scope="session")
    def live():
        # At 127.0.0.1 on another port each time; the API is at the same address.
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://localhost:{server.port}"
        server.shutdown()
        thread.join()
        server.server_close()

    pytestmark = pytest.mark.dataio(ignore_hosts=["localhost"], allowed_hosts=["localhost"])

    def test_page(live):
        with requests.Session() as session:
            for day in ("monday", "tuesday"):
                answer = session.get(live + "/first", params={"day": day}, timeout=5)
                assert answer.json() == {"first": "ALFA", "day": day}

    def test_upload(live):
        answer = requests.post(live + "/orders", files={"file": ("a.csv", b"friday")}, timeout=5)
        assert answer.json() == {"first": "ALFA", "day": "friday"}
        assert answer.history[0].status_code == 302

    @pytest.mark.dataio(stdlib=True)
    def test_stdlib(live):
        from urllib.request import urlopen
        with urlopen(live + "/first?day=sunday", timeout=5) as answer:
            assert b"ALFA" in answer.read()

    def test_error(live):
        assert requests.get(live + "/nowhere", timeout=5).status_code == 404

    def test_the_app_itself():
        assert app.test_client().get("/first?day=1").json == {"first": "ALFA", "day": "1"}

    def test_calls(live, dataio):
        requests.get(live + "/first?day=1", timeout=5)
        api, own = dataio.calls
        assert (api.url, api.status_code) == ("{url}/symbols?page=1", 200)
        assert (own.url, own.answered) == (live + "/first", "left out")
"""


@pytest.fixture
def server() -> Iterator[MarketServer]:
    with MarketServer() as made:
        yield made


@pytest.mark.parametrize("options", [(), ("--dataio-block-network",)])
def test_a_live_server(
    options: tuple[str, ...],
    pytester: pytest.Pytester,
    server: MarketServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare(monkeypatch)
    pytester.makepyfile(test_it=TESTS.replace("{url}", server.url))
    run(pytester, *options, passed=6)
    hits = server.hits
    for path in cassettes(pytester):
        recorded = (pytester.path / path).read_text()
        assert "localhost" not in recorded
        assert "ALFA" in recorded
    # The world is gone; the app is at another port.
    server.stop()
    run(pytester, *options, "--dataio-mode=none", passed=6)
    assert server.hits == hits
