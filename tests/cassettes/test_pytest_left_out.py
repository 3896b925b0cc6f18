"""The plugin: what is left out of cassettes, and what counts, by marker, fixture and ini file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.market_server import MarketServer
from tests.support.pytests import bare, cassettes, run, start

pytest_plugins = ["pytester"]

# The app under test is served by the test itself, on another port each time, and asks the world.
# The world is localhost, and the app 127.0.0.1.
APP = """
    import http.server, threading
    import pytest, requests

    WORLD = "{url}/symbols?page=1".replace("127.0.0.1", "localhost")

    class App(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            if "Content-Length" in self.headers:
                taken = self.rfile.read(int(self.headers["Content-Length"]))
            else:
                # To the last chunk: who closes before it breaks the upload off.
                taken = b"".join(iter(self.rfile.readline, b"0\\r\\n"))
            self.answer(requests.get(WORLD, timeout=5).content + taken)

        def do_GET(self):
            if self.path == "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "/page")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.answer(requests.get(WORLD, timeout=5).content)

        do_HEAD = do_GET

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    @pytest.fixture
    def app():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()
"""
TESTS = """
    OUT = dict(ignore_hosts=["127.0.0.1"], allowed_hosts=["127.0.0.1"])

    @pytest.mark.dataio(**OUT)
    def test_get(app):
        assert b"ALFA" in requests.get(app + "/page", timeout=5).content
        assert b"ALFA" in requests.get(app + "/elsewhere", timeout=5).content
        assert requests.head(app + "/page", timeout=5).status_code == 200

    @pytest.mark.dataio(**OUT)
    def test_upload(app):
        assert requests.post(app, data=iter([b"a", b"b"]), timeout=5).status_code == 200
        assert requests.post(app, data=b"abc", timeout=5).content.endswith(b"abc")

    @pytest.mark.dataio(stdlib=True, **OUT)
    def test_stdlib(app):
        import urllib.request
        assert b"ALFA" in urllib.request.urlopen(app, timeout=5).read()

    @pytest.mark.dataio(view=lambda call: None if call.host == "127.0.0.1" else call,
                        allowed_hosts=["loopback"])
    def test_view(app):
        assert b"ALFA" in requests.get(app + "/page", timeout=5).content
"""


@pytest.fixture
def server() -> Iterator[MarketServer]:
    with MarketServer() as made:
        yield made


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    bare(monkeypatch)


def write(pytester: pytest.Pytester, text: str, server: MarketServer) -> None:
    pytester.makepyfile(test_it=text.replace("{url}", server.url))


@pytest.mark.parametrize("options", [[], ["--dataio-block-network"]])
def test_a_live_server_of_the_tests_own_beside_an_external_api(
    options: list[str], pytester: pytest.Pytester, server: MarketServer
) -> None:
    write(pytester, APP + TESTS, server)
    run(pytester, *options, passed=4)
    (path, *_) = cassettes(pytester)
    recorded = (pytester.path / path).read_text()
    assert "localhost" in recorded
    assert "127.0.0.1" not in recorded
    server.stop()
    run(pytester, *options, "--dataio-mode=none", passed=4)
    # No call of the app's is missed, and the world's is.
    run(pytester, *options, "--dataio-mode=none", "-k", "get", passed=1, deselected=3)


def test_what_may_not_be_reached_is_refused_and_can_be_caught(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    write(
        pytester,
        APP
        + """
    @pytest.mark.dataio(ignore_hosts=["127.0.0.1"])
    def test_caught(app):
        from mxm_dataio import LeftOutError
        try:
            requests.get(app, timeout=5)
        except LeftOutError:
            pass
        assert b"ALFA" in requests.get(WORLD, timeout=5).content

    @pytest.mark.dataio(ignore_hosts=["127.0.0.1"])
    def test_not_caught(app):
        requests.get(app, timeout=5)
        """,
        server,
    )
    run(pytester, passed=2)
    server.stop()
    shown = run(pytester, "--dataio-mode=none", passed=1, failed=1).stdout.str()
    assert "is left out, and was not recorded (ignore_hosts names 127.0.0.1)" in shown
    assert "in replay too, --dataio-allowed-hosts=loopback" in shown
    assert "record it again" not in shown
    run(pytester, "--dataio-mode=none", "--dataio-allowed-hosts=loopback", passed=2)


# -- where it is said ----------------------------------------------------------------------------

COUNTING = """
    import pytest, random, requests

    @pytest.mark.dataio
    def test_symbols():
        answer = requests.get("{url}/symbols", params={"page": 1, "n": random.random()}, timeout=5)
        assert answer.json()["symbols"][0] == "ALFA"
"""
SAME = "def same(call):\n    return call.without('n')\n"


@pytest.mark.parametrize(
    "ini",
    [
        "dataio_ignore_params = t n",
        "dataio_ignore_params = t, n",
        'dataio_ignore_params = \'{"*": ["n"]}\'',
        "dataio_view = views:same",
        "dataio_ignore_params = n\ndataio_match_host = false",
    ],
)
def test_in_a_file_of_pytests(ini: str, pytester: pytest.Pytester, server: MarketServer) -> None:
    pytester.makefile(".py", views=SAME)
    pytester.makeini(f"[pytest]\n{ini}\n")
    write(pytester, COUNTING, server)
    run(pytester, passed=1)
    hits = server.hits
    if "match_host" in ini:
        write(pytester, COUNTING.replace("{url}", "http://other.example:1"), server)
    run(pytester, passed=1)
    assert server.hits == hits


def test_hosts_and_bodies_in_a_file_of_pytests(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    pytester.makepyprojecttoml(
        """
        [tool.pytest.ini_options]
        dataio_ignore_hosts = ["127.0.0.1"]
        dataio_allowed_hosts = ["loopback"]
        dataio_ignore_body_of = ["*/symbols"]
        """
    )
    (pytester.path / "never.ini").touch()
    write(
        pytester,
        COUNTING
        + """
    @pytest.mark.dataio
    def test_body():
        url = "{url}/symbols".replace("127.0.0.1", "localhost")
        requests.post(url, data=str(random.random()), timeout=5)
    """,
        server,
    )
    start(pytester)
    assert cassettes(pytester) == ["cassettes/test_it/test_body.json"]
    hits = server.hits
    run(pytester, "--dataio-mode=none", "-k", "body", passed=1, deselected=1)
    assert server.hits == hits


def test_the_closest_word_counts(pytester: pytest.Pytester, server: MarketServer) -> None:
    pytester.makeini("[pytest]\ndataio_ignore_params = x\n")
    config = "@pytest.fixture(scope='session')\n    def dataio_config():\n        return %s\n"
    write(pytester, COUNTING + "    " + config % "{'ignore_params': ['n']}", server)
    run(pytester, passed=1)
    run(pytester, passed=1)
    write(
        pytester,
        COUNTING.replace("mark.dataio", "mark.dataio(ignore_params=['z'])")
        + "    "
        + config % "{'ignore_params': ['n']}",
        server,
    )
    run(pytester, failed=1)


@pytest.mark.parametrize(
    ("ini", "said"),
    [
        ("dataio_view = views:nosuch", "dataio_view = views:nosuch: it can't be imported"),
        ("dataio_view = views", "dataio_view = views: no function, nor the name of one"),
        ("dataio_ignore_params = $.a[", "$.a[' is no place in JSON"),
        ("dataio_match_host = maybe", "maybe"),
    ],
)
def test_what_is_not_understood(
    ini: str, said: str, pytester: pytest.Pytester, server: MarketServer
) -> None:
    pytester.makefile(".py", views=SAME)
    pytester.makeini(f"[pytest]\n{ini}\n")
    write(pytester, COUNTING, server)
    result = start(pytester)
    assert result.parseoutcomes() == {"errors": 1}
    assert said in result.stdout.str()
    assert server.hits == 0
