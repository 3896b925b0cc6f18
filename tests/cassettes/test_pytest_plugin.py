"""The pytest plugin as its users meet it: a pytest of their own, a real server that goes away."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.market_server import MarketServer
from tests.support.effort import rounds
from tests.support.pytests import bare, cassettes, run

pytest_plugins = ["pytester"]

ASK = """
import pytest, requests

@pytest.mark.dataio
def test_symbols():
    answer = requests.get("{url}/symbols", params={{"page": 1}}, timeout=10)
    assert answer.json()["symbols"][0] == "ALFA"
"""


@pytest.fixture
def server() -> Iterator[MarketServer]:
    with MarketServer() as made:
        yield made


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    bare(monkeypatch)


def write(
    pytester: pytest.Pytester, text: str, server: MarketServer, name: str = "test_it"
) -> Path:
    url = server.url
    return pytester.makepyfile(
        **{name: text.replace("{url}", url).replace("{{", "{").replace("}}", "}")}
    )


# -- the main thing ------------------------------------------------------------------------------


def test_it_records_once_and_replays_for_ever(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    write(pytester, ASK, server)
    run(pytester, apart=True, passed=1)
    assert cassettes(pytester) == ["cassettes/test_it/test_symbols.json"]
    path = pytester.path / "cassettes/test_it/test_symbols.json"
    written = path.read_bytes(), path.stat().st_mtime_ns
    hits = server.hits
    assert hits == 1
    run(pytester, passed=1)
    assert server.hits == hits
    server.stop()
    run(pytester, passed=1)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == written


def test_in_ci_nothing_is_recorded_and_a_miss_says_how_to(
    pytester: pytest.Pytester, server: MarketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(pytester, ASK, server)
    run(pytester, passed=1)
    path.write_text(path.read_text().replace('"page": 1', '"page": 2'))
    monkeypatch.setenv("CI", "true")
    shown = run(pytester, failed=1).stdout.str()
    assert server.hits == 1
    assert "/symbols?page=2 is not recorded" in shown
    assert "param page: asked '2', recorded '1'" in shown
    cassette = pytester.path / "cassettes/test_it/test_symbols.json"
    assert f"cassette: {cassette}" in shown
    (command,) = re.findall(r"^record it again: pytest (.*)$", shown, re.MULTILINE)
    monkeypatch.delenv("CI")
    # As it is printed, from where pytest was started; the answer of page 2 begins otherwise.
    again = run(pytester, *shlex.split(command), failed=1)
    assert "DLTA" in again.stdout.str()
    assert server.hits == 2
    path.write_text(path.read_text().replace("ALFA", "DLTA"))
    run(pytester, *shlex.split(command), passed=1)
    server.stop()
    run(pytester, passed=1)


def test_a_miss_shows_the_test_s_line_and_little_of_ours(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    path = write(pytester, ASK, server)
    run(pytester, passed=1)
    path.write_text(path.read_text().replace('"page": 1', '"page": 2'))
    shown = run(pytester, failed=1).stdout
    shown.fnmatch_lines(
        [
            "E * is not recorded in the cassette */cassettes/test_it/test_symbols.json*",
            "E * - param page: asked '2', recorded '1'",
            "record it again: pytest test_it.py::test_symbols --dataio-mode=rewrite",
        ]
    )
    assert '"page": 2' in str(shown)
    assert "match decision" not in str(shown)


def test_a_miss_that_the_program_swallows_fails_the_test(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    text = """
    import pytest, requests

    @pytest.mark.dataio
    def test_it():
        requests.get("{url}/symbols", timeout=10)
        try:
            requests.get("{url}/calendar", timeout=10)
        except Exception:
            pass
    """
    path = write(pytester, text, server)
    run(pytester, passed=1)
    path.write_text(path.read_text().replace("calendar", "other"))
    shown = run(pytester, failed=1).stdout.str()
    assert "/other is not recorded" in shown
    assert "record it again" in shown


def test_only_tests_that_passed_are_kept(pytester: pytest.Pytester, server: MarketServer) -> None:
    text = """
    import pytest, requests

    @pytest.fixture
    def broken():
        yield requests.get("{url}/symbols", timeout=10)

    @pytest.mark.dataio
    def test_fails(broken):
        assert False

    @pytest.mark.dataio(keep_failed=True)
    def test_fails_and_is_kept(broken):
        assert False

    @pytest.mark.dataio
    def test_skips(broken):
        pytest.skip("for a reason")

    @pytest.fixture
    def raises(broken):
        raise OSError

    @pytest.mark.dataio
    def test_is_not_reached(raises):
        pass
    """
    write(pytester, text, server)
    run(pytester, failed=2, skipped=1, errors=1)
    assert cassettes(pytester) == ["cassettes/test_it/test_fails_and_is_kept.json"]


# -- names ---------------------------------------------------------------------------------------


def test_parametrised_tests_have_a_cassette_each(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    text = """
    import pytest, requests

    @pytest.mark.dataio
    @pytest.mark.parametrize("name", ["a/b", "a?b", "A/b", "x" * 400, "ALFA"])
    def test_quote(name):
        requests.get("{url}/nowhere", params={"name": name}, timeout=10)
    """
    write(pytester, text, server)
    run(pytester, passed=5)
    assert len(cassettes(pytester)) == 5
    server.stop()
    run(pytester, "--dataio-mode=none", passed=5)


def test_folders_and_names_can_be_overridden_at_every_level(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    pytester.mkpydir("part")
    pytester.makepyfile(
        **{
            "part/conftest": """
            import pathlib, pytest

            @pytest.fixture(scope="package")
            def dataio_cassette_dir():
                return pathlib.Path(__file__).parent / "kept" / "cassettes"
            """
        }
    )
    text = """
    import pytest, requests

    @pytest.fixture(scope="module")
    def dataio_config():
        return {"ignore_params": ["at"]}

    class TestOne:
        @pytest.fixture
        def dataio_cassette_name(self, request):
            return "one-" + request.node.name

        @pytest.mark.dataio
        def test_it(self):
            import time
            requests.get("{url}/symbols", params={"at": time.time()}, timeout=10)

    @pytest.mark.dataio
    def test_it():
        requests.get("{url}/calendar", timeout=10)
    """
    write(pytester, text, server, "part/test_parts")
    run(pytester, passed=2)
    assert cassettes(pytester) == [
        "part/kept/cassettes/one-test_it.json", "part/kept/cassettes/test_it.json",
    ]  # fmt: skip
    server.stop()
    run(pytester, passed=2)


# -- markers and modes ---------------------------------------------------------------------------


def test_markers_combine_and_the_command_line_wins(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    shared = """
    import pytest, requests

    @pytest.mark.dataio
    def test_login():
        requests.get("{url}/calendar", timeout=10)
    """
    write(pytester, shared, server, "test_shared")
    run(pytester, passed=1)
    common = pytester.path / "cassettes/test_shared/test_login.json"
    before = common.read_bytes()
    text = """
    import pytest, requests

    pytestmark = pytest.mark.dataio("../test_shared/test_login.json", ignore_params=["at"])

    @pytest.mark.dataio(mode="new_episodes")
    def test_new():
        requests.get("{url}/calendar", timeout=10)
        requests.get("{url}/symbols?at=1", timeout=10)

    @pytest.mark.dataio(mode="all")
    def test_all():
        requests.get("{url}/symbols?page=2&at=2", timeout=10)
    """
    write(pytester, text, server)
    hits = server.hits
    run(pytester, "test_it.py", passed=2)
    # The calendar came from the shared cassette, which nobody writes to.
    assert server.hits == hits + 2
    assert common.read_bytes() == before
    held = (pytester.path / "cassettes/test_it/test_new.json").read_text()
    assert "calendar" not in held
    hits = server.hits
    run(pytester, "--dataio-mode=none", passed=3)
    assert server.hits == hits
    run(pytester, "test_it.py::test_all", passed=1)
    assert server.hits == hits + 1
    run(pytester, "--dataio-mode=off", "test_it.py", passed=2)
    assert server.hits == hits + 4


def test_settings_of_the_file_are_defaults(pytester: pytest.Pytester, server: MarketServer) -> None:
    pytester.makeini(
        "[pytest]\ndataio_mode = none\ndataio_block_network = true\n"
        "dataio_allowed_hosts = loopback example.org\ndataio_markers = vcr\n"
    )
    text = (
        ASK.replace("mark.dataio", "mark.vcr")
        + """
def test_open():
    import socket
    socket.create_connection(("127.0.0.1", {port}), timeout=5).close()
"""
    )
    write(pytester, text.replace("{port}", server.url.rpartition(":")[2]), server)
    run(pytester, "--strict-markers", passed=1, failed=1)
    run(pytester, "--dataio-mode=once", passed=2)
    run(pytester, passed=2)
    pytester.makeini("[pytest]\ndataio_mode = sometimes\n")
    result = pytester.runpytest_subprocess()
    result.stderr.fnmatch_lines(["*dataio_mode=sometimes: there are none, once, *"])


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("dataio(ignore_param=['a'])", "did you mean 'ignore_params'"),
        ("dataio(mode='sometimes')", "unknown mode 'sometimes'"),
        ("dataio(scope='run')", "there are function, class, module, session"),
        ("dataio('nowhere.json')", "nowhere.json"),
    ],
)
def test_a_marker_that_is_wrong_says_so(
    pytester: pytest.Pytester, server: MarketServer, marker: str, words: str
) -> None:
    write(pytester, ASK.replace("dataio", marker, 1), server)
    assert words in run(pytester, errors=1).stdout.str()
    assert server.hits == 0


# -- the network ---------------------------------------------------------------------------------


def test_in_replay_no_connection_is_made_past_the_cassette(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    text = """
    import asyncio, socket, pytest, requests

    PORT = {port}

    @pytest.mark.dataio
    def test_socket():
        requests.get("{url}/symbols", timeout=10)
        socket.create_connection(("127.0.0.1", PORT), timeout=5).close()

    @pytest.mark.dataio
    def test_swallowed():
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
        except Exception:
            pass

    @pytest.mark.dataio
    def test_asyncio():
        async def connect():
            (await asyncio.open_connection("127.0.0.1", PORT))[1].close()
        asyncio.run(connect())

    @pytest.mark.dataio(allowed_hosts=["loopback"])
    def test_allowed():
        socket.create_connection(("127.0.0.1", PORT), timeout=5).close()

    def test_unmarked():
        socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
    """
    write(pytester, text.replace("{port}", server.url.rpartition(":")[2]), server)
    recorded = run(pytester, "-W", "default", passed=5, warnings=3).stdout.str()
    assert recorded.count("made connections that are in no cassette, to 127.0.0.1:") == 3
    assert re.search(r"no cassette, to [\d.:]+ by test_it: only calls of requests", recorded)
    shown = run(pytester, "--dataio-mode=none", passed=2, failed=3).stdout.str()
    assert "test_it.py::test_socket" in shown
    assert re.search(r"127\.0\.0\.1:\d+", shown)
    blocked = run(pytester, "--dataio-mode=none", "--dataio-block-network", passed=1, failed=4)
    assert "test_it.py::test_unmarked" in blocked.stdout.str()
    hosts = "--dataio-allowed-hosts=loopback"
    run(pytester, "--dataio-mode=none", "--dataio-block-network", hosts, passed=5)
    # Where a cassette is recorded the network is open.
    blocks = ("--dataio-mode=all", "--dataio-block-network", "-W", "default")
    run(pytester, *blocks, passed=4, failed=1, warnings=3)


# -- other people's tests and plugins ------------------------------------------------------------


def test_unittest_classes_modules_and_fixtures(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    text = """
    import threading, unittest
    import pytest, requests

    def get(path):
        return requests.get("{url}" + path, timeout=10)

    @pytest.mark.dataio
    class TestCase(unittest.TestCase):
        def setUp(self):
            self.symbols = get("/symbols").json()

        def test_one(self):
            self.assertIn("ALFA", self.symbols["symbols"])

        def test_two(self):
            seen = []
            thread = threading.Thread(target=lambda: seen.append(get("/calendar").status_code))
            thread.start()
            thread.join()
            self.assertEqual(seen, [200])

    @pytest.fixture(scope="module")
    def prices(dataio_module):
        return get("/bars/ALFA?interval=1d").json()

    def test_prices(prices):
        assert prices

    @pytest.mark.dataio(scope="class")
    class TestTogether:
        def test_first(self):
            get("/symbols?page=1")

        def test_second(self, dataio):
            assert dataio.session.status == "running"
            get("/symbols?page=2")

    def test_by_fixture_alone(dataio):
        get("/calendar")
    """
    write(pytester, text, server)
    run(pytester, passed=6)
    assert cassettes(pytester) == [
        f"cassettes/test_it/{name}.json"
        for name in (
            "TestCase.test_one", "TestCase.test_two", "TestTogether", "module",
            "test_by_fixture_alone",
        )
    ]  # fmt: skip
    server.stop()
    run(pytester, "--dataio-mode=none", passed=6)


def test_in_parallel(pytester: pytest.Pytester, server: MarketServer) -> None:
    text = """
    import pytest, requests

    @pytest.mark.dataio
    @pytest.mark.parametrize("page", range(12))
    def test_page(page):
        requests.get("{url}/symbols", params={"page": page}, timeout=10)
    """
    write(pytester, text, server)
    run(pytester, "-n", "2", passed=12)
    assert (len(cassettes(pytester)), server.hits) == (12, 12)
    server.stop()
    run(pytester, *rounds((), ("-n", "2")), passed=12)
    run(pytester, passed=12)


def test_asyncio_tests_and_their_threads(pytester: pytest.Pytester, server: MarketServer) -> None:
    pytest.importorskip("pytest_asyncio")
    text = """
    import asyncio
    import pytest, requests

    @pytest.mark.asyncio
    @pytest.mark.dataio
    async def test_threads():
        def get(page):
            return requests.get("{url}/symbols", params={"page": page}, timeout=10).json()
        pages = await asyncio.gather(*(asyncio.to_thread(get, page) for page in (1, 2, 3)))
        assert len(pages) == 3
    """
    write(pytester, text, server)
    options = ("-o", "asyncio_default_fixture_loop_scope=function")
    run(pytester, *options, beside="asyncio", passed=1)
    server.stop()
    run(pytester, *options, "--dataio-mode=none", beside="asyncio", passed=1)


def test_a_test_that_is_run_again_has_a_session_of_its_own(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    pytest.importorskip("pytest_rerunfailures")
    text = """
    import pytest, requests
    tries = []

    @pytest.mark.dataio
    def test_flaky():
        tries.append(1)
        requests.get("{url}/symbols", params={"page": len(tries)}, timeout=10)
        assert len(tries) == 2
    """
    write(pytester, text, server)
    run(pytester, "--reruns", "2", beside="rerunfailures", passed=1, rerun=1)
    held = (pytester.path / "cassettes/test_it/test_flaky.json").read_text()
    assert "page" in held
    assert server.hits == 2


def test_beside_pytest_recording_and_responses(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    # (Importing it here has pytest warn that vcrpy was imported without its assertions rewritten.)
    if importlib.util.find_spec("pytest_recording") is None:
        pytest.skip("needs pytest-recording")
    text = """
    import pytest, requests, responses

    @pytest.mark.vcr
    def test_theirs():
        requests.get("{url}/symbols", timeout=10)

    @pytest.mark.dataio
    def test_ours():
        requests.get("{url}/symbols", timeout=10)

    @responses.activate
    def test_mocked():
        responses.get("http://nowhere.test/", json={"a": 1})
        assert requests.get("http://nowhere.test/").json() == {"a": 1}
    """
    write(pytester, text, server)
    run(pytester, "--record-mode=once", beside="recording", apart=True, passed=3)
    assert cassettes(pytester) == ["cassettes/test_it/test_ours.json"]
    server.stop()
    run(
        pytester,
        "--block-network",
        "--dataio-block-network",
        beside="recording",
        apart=True,
        passed=3,
    )


def test_without_a_marked_test_nothing_is_loaded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            loaded = {name for name in sys.modules if name.startswith("mxm_dataio")}
            front = {"mxm_dataio", "mxm_dataio.interception", "mxm_dataio.pytest_plugin"}
            front |= {"mxm_dataio.pytest_plugin.hooks", "mxm_dataio.pytest_plugin.guarding"}
            front |= {"mxm_dataio.pytest_plugin.account", "mxm_dataio.pytest_plugin.fixtures"}
            front.add("mxm_dataio.pytest_plugin.options")
            assert loaded == front | {"mxm_dataio.config", "mxm_dataio.config.choices"}
        """
    )
    run(pytester, apart=True, passed=1)


def test_it_can_be_left_out(pytester: pytest.Pytester, server: MarketServer) -> None:
    write(pytester, ASK.replace("@pytest.mark.dataio\n", ""), server)
    run(pytester, "-p", "no:dataio", installed=True, passed=1)
    assert cassettes(pytester) == []


# -- old, corrupt, superfluous -------------------------------------------------------------------


def test_a_corrupt_cassette_is_an_error_and_stays(
    pytester: pytest.Pytester, server: MarketServer
) -> None:
    write(pytester, ASK, server)
    run(pytester, passed=1)
    path = pytester.path / "cassettes/test_it/test_symbols.json"
    modes = ("none", "once", "new_episodes", "all")
    for number, content in enumerate((path.read_text()[:-40], "", "{}", '{"version": 99}')):
        path.write_text(content)
        for mode in rounds(modes[number : number + 1], modes):
            shown = run(pytester, f"--dataio-mode={mode}", errors=1).stdout.str()
            assert "test_symbols.json" in shown
            assert path.read_text() == content


def test_the_report_lists_what_nobody_uses(pytester: pytest.Pytester, server: MarketServer) -> None:
    text = """
    import pytest, requests

    @pytest.mark.dataio
    def test_two():
        requests.get("{url}/symbols?page=1", timeout=10)
        requests.get("{url}/symbols?page=2", timeout=10)

    @pytest.mark.dataio
    def test_gone():
        requests.get("{url}/calendar", timeout=10)
    """
    path = write(pytester, text, server)
    write(pytester, text, server, "test_all_gone")
    run(pytester, passed=4)
    fine = run(pytester, "--dataio-report", passed=4).stdout
    fine.fnmatch_lines(["every recorded call of the tests that passed was replayed*"])
    path.write_text(
        path.read_text().replace("test_gone", "test_here").replace("?page=2", "?page=1")
    )
    (pytester.path / "test_all_gone.py").unlink()
    server.stop()
    before = cassettes(pytester)
    for workers in rounds([("-n", "2")], [(), ("-n", "2")]):
        shown = run(pytester, "--dataio-report", *workers, passed=1, failed=1).stdout
        shown.fnmatch_lines_random(
            [
                "cassettes/test_it/test_two.json: 1 never replayed by test_it.py::test_two",
                "    GET */symbols?page=2",
                "cassettes/test_it/test_gone.json: no test has this cassette any more",
                "cassettes/test_all_gone/test_gone.json: no test has this cassette any more",
            ]
        )
    assert cassettes(pytester) == before
    # What was not run can't be judged, and is not touched.
    one = run(pytester, "--dataio-prune", "test_it.py::test_two", passed=1).stdout.str()
    assert "no test has" not in one
    assert "cassettes/test_it/test_gone.json" in cassettes(pytester)
    run(pytester, "--dataio-prune", "-k", "two", passed=1, deselected=1)
    assert "cassettes/test_it/test_gone.json" in cassettes(pytester)
    run(pytester, "--dataio-prune", *rounds((), ("-n", "2")), passed=1, failed=1)
    assert cassettes(pytester) == ["cassettes/test_it/test_two.json"]
    run(pytester, "-k", "two", "--dataio-report", passed=1, deselected=1)


def test_old_recordings_warn_or_fail(pytester: pytest.Pytester, server: MarketServer) -> None:
    write(pytester, ASK.replace("dataio", "dataio(expires='30d')", 1), server)
    run(pytester, passed=1)
    path = pytester.path / "cassettes/test_it/test_symbols.json"
    document = json.loads(path.read_text())
    assert document["recorded"]
    run(pytester, passed=1)
    path.write_text(path.read_text().replace(document["recorded"], "2020-01-02"))
    shown = run(pytester, "-W", "default", passed=1, warnings=1).stdout.str()
    assert "recorded 2020-01-02" in shown
    assert "--dataio-mode=rewrite" in shown
    run(pytester, "-o", "dataio_on_expired=fail", errors=1)
    run(pytester, "--dataio-mode=rewrite", passed=1)
    run(pytester, passed=1)


def test_the_recording_s_clock_and_seed(pytester: pytest.Pytester, server: MarketServer) -> None:
    pytest.importorskip("time_machine")
    text = """
    import datetime, random, time
    import pytest, requests

    @pytest.mark.dataio(freeze=True)
    def test_now():
        now, drawn = time.time(), random.random()
        assert datetime.datetime.now().timestamp() == pytest.approx(now)
        requests.get("{url}/symbols", params={"now": now, "drawn": drawn}, timeout=10)

    def test_after():
        assert abs(time.time() - {time}) < 3600
    """
    import time

    write(pytester, text.replace("{time}", str(time.time())), server)
    run(pytester, passed=2)
    path = pytester.path / "cassettes/test_it/test_now.json"
    server.stop()
    # To the second the same moment again, and the same draw.
    run(pytester, "--dataio-mode=none", passed=2)
    assert path.exists()


def test_ids_are_drawn_again_in_replay(pytester: pytest.Pytester, server: MarketServer) -> None:
    pytest.importorskip("time_machine")
    text = """
    import random, secrets, threading, uuid
    from random import SystemRandom
    from secrets import choice, randbelow, randbits, token_bytes, token_hex, token_urlsafe
    from uuid import uuid4
    import pytest, requests

    SYSTEM = SystemRandom()

    def drawn():
        return [
            str(uuid4()), str(uuid.uuid4()), token_hex(), secrets.token_hex(3), token_urlsafe(),
            token_bytes(4).hex(), randbelow(10**9), choice(range(10**9)), randbits(64),
            secrets.choice("abcdefghijklmn"), SYSTEM.random(), random.randint(0, 10**9),
            SYSTEM.sample(range(10**6), 3),
        ]

    @pytest.mark.dataio(freeze=True)
    def test_one():
        made = drawn()
        assert made[0] != made[1]
        assert uuid.UUID(made[0]).version == 4
        requests.get("{url}/symbols", params={"x": [str(one) for one in made]}, timeout=10)
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(uuid4()))
        thread.start()
        thread.join()
        requests.get("{url}/symbols", params={"y": str(elsewhere[0])}, timeout=10)

    @pytest.mark.dataio(freeze="tick")
    def test_two():
        requests.get("{url}/symbols", params={"x": str(uuid4())}, timeout=10)

    KEPT = []

    @pytest.mark.parametrize("n", [1, 2])
    def test_after(n):
        KEPT.append(str(drawn()))
        assert len(set(KEPT)) == n
        assert uuid.os.urandom is __import__("os").urandom
    """
    write(pytester, text, server)
    run(pytester, passed=4)
    path = pytester.path / "cassettes/test_it/test_one.json"
    recorded = path.read_text()
    server.stop()
    run(pytester, "--dataio-mode=none", passed=4)
    run(pytester, "--dataio-mode=none", "-k", "one", passed=1, deselected=3)
    assert path.read_text() == recorded


# -- what it costs -------------------------------------------------------------------------------


def test_the_plugin_has_an_entry_point() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--markers"], capture_output=True, text=True, check=True
    ).stdout
    assert "@pytest.mark.dataio(" in shown
