"""Calls outside a test's own phases: of wider fixtures, of classes and modules, of imports."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.effort import MANY, rounds
from tests.support.pytests import bare, cassettes, run, start
from tests.support.servers import RawServer, answer

pytest_plugins = ["pytester"]

HEAD = """
import pytest, requests, unittest
URL = "{url}"
def get(path):
    return requests.get(URL + path, timeout=10).text
"""


@pytest.fixture
def server() -> Iterator[RawServer]:
    def numbered(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            body = f"{request.target} {len(running.requests)}"
            connection.send(answer(200, body.encode()))

    with RawServer(numbered) as running:
        yield running


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    bare(monkeypatch)


def write(pytester: pytest.Pytester, server: RawServer, **files: str) -> None:
    pytester.makeini("[pytest]\n")
    head = HEAD.replace("{url}", server.url)
    for name, text in files.items():
        path = pytester.path / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + textwrap.dedent(text))


def asked(server: RawServer) -> list[str]:
    return sorted(request.target for request in server.requests)


EVERYTHING = """
    def setUpModule():
        get("/setUpModule")

    def tearDownModule():
        get("/tearDownModule")

    @pytest.fixture(scope="session")
    def login():
        token = get("/login")
        yield token
        assert get("/logout")

    @pytest.fixture(scope="module")
    def prices(login):
        return get("/prices?" + login.partition(" ")[0])

    @pytest.fixture(scope="class")
    def shop(request):
        request.addfinalizer(lambda: get("/close"))
        return get("/shop-" + request.cls.__name__)

    @pytest.fixture(scope="module", params=["a", "b/b"])
    def kind(request):
        return get("/kind?" + request.param).partition(" ")[0]

    @pytest.mark.dataio
    class TestUnit(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            cls.addClassCleanup(get, "/class-cleanup")
            get("/setUpClass")

        @classmethod
        def tearDownClass(cls):
            get("/tearDownClass")

        def setUp(self):
            self.addCleanup(get, "/cleanup")
            get("/setUp")

        def test_it(self):
            get("/unit")

    @pytest.mark.dataio
    class TestPlain:
        def setup_class(cls):
            get("/setup_class")

        def teardown_class(cls):
            get("/teardown_class")

        def setup_method(self):
            get("/setup_method")

        def test_shop(self, shop):
            get("/plain")

    @pytest.mark.dataio
    def test_login(login, prices):
        get("/it?" + login.partition(" ")[0])

    @pytest.mark.dataio
    def test_kind(kind):
        get("/it?" + kind)
"""


@pytest.mark.parametrize("block", [(), ("--dataio-block-network",)], ids=["", "blocked"])
def test_whatever_a_marked_test_needs_is_recorded(
    pytester: pytest.Pytester, server: RawServer, block: tuple[str, ...]
) -> None:
    write(pytester, server, test_it=EVERYTHING)
    run(pytester, *block, passed=5)
    calls = asked(server)
    assert len(calls) == 22
    folder = "cassettes/test_it"
    kept = [name.removeprefix(f"{folder}/") for name in cassettes(pytester)]
    assert [name for name in kept if "kind" not in name] == [
        "TestPlain.fixture.shop.json", "TestPlain.fixture.shop.teardown.json",
        "TestPlain.setup_class.json", "TestPlain.teardown_class.json", "TestPlain.test_shop.json",
        "TestUnit.setUpClass.json", "TestUnit.tearDownClass.json", "TestUnit.test_it.json",
        "fixture.login.json", "fixture.login.teardown.json", "fixture.prices.json",
        "setup_module.json", "teardown_module.json", "test_login.json",
    ]  # fmt: skip
    assert len([name for name in kept if name.startswith("fixture.kind[")]) == 2
    server.stop()
    for options in (("--dataio-mode=none",), (), *rounds((), (("-n", "2"),)), ("-k", "login")):
        outcome = {"passed": 1, "deselected": 4} if "-k" in options else {"passed": 5}
        run(pytester, *block, *options, **outcome)
    assert asked(server) == calls


def test_processes_that_record_side_by_side_have_the_same_fixtures(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    conftest = """
    @pytest.fixture(scope="session")
    def made():
        # The server's answer counts: without one for all, each process would have another.
        return get("/made").rpartition(" ")[2]
    """
    text = """
    import time

    @pytest.mark.dataio
    @pytest.mark.parametrize("number", range(4))
    def test_it(made, number):
        time.sleep(0.05)
        get(f"/things/{made}?{number}")
    """
    write(pytester, server, conftest=conftest, test_it=text)
    for made, mode in enumerate(rounds(("once",), ("once", "rewrite")), 1):
        run(pytester, "-n", "2", f"--dataio-mode={mode}", passed=4)
        assert asked(server).count("/made") == made
    assert "cassettes/conftest/fixture.made.json" in cassettes(pytester)
    calls = asked(server)
    for workers in rounds(((),), ((), ("-n", "3"))):
        run(pytester, *workers, "--dataio-mode=none", passed=4)
    assert asked(server) == calls


def test_what_no_marked_test_needs_is_left_alone(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    text = """
    @pytest.fixture(scope="module")
    def alone():
        yield get("/alone")
        get("/alone-end")

    @pytest.fixture(scope="session")
    def both():
        return get("/both")

    def test_plain(alone, both):
        get("/plain")

    @pytest.mark.dataio
    def test_marked(both):
        get("/marked")
    """
    write(pytester, server, test_it=text)
    run(pytester, passed=2)
    assert cassettes(pytester) == [
        "cassettes/test_it/fixture.both.json", "cassettes/test_it/test_marked.json",
    ]  # fmt: skip
    run(pytester, "--dataio-mode=none", passed=2)
    assert asked(server) == sorted([*["/alone", "/alone-end", "/plain"] * 2, "/both", "/marked"])
    run(pytester, "--dataio-mode=off", passed=2)
    assert asked(server).count("/both") == 2
    run(pytester, "-k", "plain", passed=1, deselected=1)
    assert asked(server).count("/both") == 3


def test_a_miss_in_a_fixture_names_it_and_the_way(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    text = """
    @pytest.fixture(scope="session")
    def login():
        try:
            get("/login")
        except Exception:
            if {raises}:
                raise

    @pytest.mark.dataio
    def test_it(login):
        pass
    """
    for raises in ("True", "False"):
        write(pytester, server, test_it=text.replace("{raises}", raises))
        shown = run(pytester, "--dataio-mode=none", errors=1).stdout.str()
        assert "/login is not recorded in the cassette" in shown
        assert "cassettes/test_it/fixture.login.json" in shown
        assert "record it again: pytest test_it.py::test_it --dataio-mode=rewrite" in shown
    assert server.requests == []
    socket = text.replace("{raises}", "True").replace(
        'get("/login")', 'import socket; socket.create_connection(("127.0.0.1", {port})).close()'
    )
    write(pytester, server, test_it=socket.replace("{port}", server.url.rpartition(":")[2]))
    shown = run(pytester, "--dataio-mode=none", errors=1).stdout.str()
    assert (
        "the fixture 'login' (session scope), set up for test_it.py::test_it, is replayed" in shown
    )
    shown = run(pytester, "-W", "default", passed=1, warnings=1).stdout.str()
    assert "the fixture 'login' (session scope)" in shown
    assert "made connections that are in no cassette" in shown


def test_a_fixture_that_fails_or_skips(pytester: pytest.Pytester, server: RawServer) -> None:
    text = """
    @pytest.fixture(scope="module")
    def broken():
        get("/broken")
        raise OSError

    @pytest.fixture(scope="module")
    def skips():
        get("/skips")
        pytest.skip("not here")

    @pytest.mark.dataio
    def test_broken(broken): ...

    @pytest.mark.dataio
    def test_skips(skips): ...

    @pytest.mark.dataio
    def test_skips_too(skips): ...
    """
    write(pytester, server, test_it=text)
    run(pytester, errors=1, skipped=2)
    assert cassettes(pytester) == ["cassettes/test_it/fixture.skips.json"]
    server.stop()
    run(pytester, "-k", "skips", "--dataio-mode=none", skipped=2, deselected=1)


def test_a_session_for_a_whole_run(pytester: pytest.Pytester, server: RawServer) -> None:
    conftest = """
    @pytest.fixture(scope="session")
    def login(dataio_session):
        yield get("/login")
        get("/logout")

    @pytest.fixture(scope="package")
    def part(dataio_session):
        return get("/part")

    @pytest.fixture(scope="package")
    def own():
        return get("/own-fixture")
    """
    text = """
    def test_plain_before():
        get("/plain")

    def test_by_fixture(login, part):
        get("/by-fixture")

    @pytest.mark.dataio
    def test_own(login, own):
        get("/own")

    def test_plain_after():
        get("/plain")

    @pytest.mark.dataio(scope="session")
    def test_in_session():
        get("/in-session")
    """
    write(pytester, server, conftest=conftest, part__test_it=text, part____init__="")
    run(pytester, passed=5)
    assert cassettes(pytester) == [
        "cassettes/conftest/fixture.own.json", "cassettes/session.json",
        "part/cassettes/test_it/test_own.json",
    ]  # fmt: skip
    calls = asked(server)
    assert len(calls) == 9
    run(pytester, "--dataio-mode=none", passed=5)
    run(pytester, "--dataio-mode=none", "-n", "2", passed=5)
    # What is not marked is left alone, before and after.
    assert asked(server) == sorted([*calls, *["/plain"] * 4])


def test_asynchronous_fixtures(pytester: pytest.Pytester, server: RawServer) -> None:
    pytest.importorskip("pytest_asyncio")
    text = """
    import asyncio, pytest_asyncio

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def login():
        yield await asyncio.to_thread(get, "/login")
        get("/logout")

    @pytest.mark.dataio
    @pytest.mark.asyncio(loop_scope="module")
    async def test_it(login):
        get("/it")
        await asyncio.to_thread(get, "/to-thread")
        await asyncio.get_running_loop().run_in_executor(None, get, "/executor")
    """
    write(pytester, server, test_it=text)
    options = ("-o", "asyncio_default_fixture_loop_scope=function")
    run(pytester, *options, beside="asyncio", passed=1)
    calls = asked(server)
    assert len(calls) == 5
    assert cassettes(pytester) == [
        "cassettes/test_it/fixture.login.json", "cassettes/test_it/fixture.login.teardown.json",
        "cassettes/test_it/test_it.json",
    ]  # fmt: skip
    run(pytester, *options, "--dataio-mode=none", beside="asyncio", passed=1)
    assert asked(server) == calls


def test_marks_of_others_count(pytester: pytest.Pytester, server: RawServer) -> None:
    text = """
    @pytest.fixture(scope="session")
    def login():
        return get("/login")

    @pytest.mark.vcr
    def test_it(login): ...
    """
    write(pytester, server, test_it=text)
    pytester.makeini("[pytest]\ndataio_markers = vcr\n")
    run(pytester, passed=1)
    server.stop()
    run(pytester, "--dataio-mode=none", passed=1)


def test_a_cassette_s_options_are_those_of_the_fixture_s_scope(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    text = """
    import time

    @pytest.fixture(scope="module")
    def dataio_config():
        return {"ignore_params": ["at"]}

    @pytest.fixture(scope="session")
    def login():
        return get(f"/login?at={time.time()}")

    @pytest.mark.dataio
    def test_it(login): ...
    """
    write(pytester, server, test_it=text)
    run(pytester, passed=1)
    server.stop()
    run(pytester, "--dataio-mode=none", passed=1)


# -- what is blocked ---------------------------------------------------------------------------


def test_a_blocked_network_is_from_the_first_conftest_to_the_end(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    marked = """
    @pytest.mark.dataio
    def test_it(): ...
    """
    plain = """
    @pytest.fixture(scope="session")
    def login():
        yield
        get("/late")

    def test_it(login): ...
    """
    blocked = ("--dataio-block-network", "--dataio-mode=all")
    write(pytester, server, test_it='get("/import")\n' + textwrap.dedent(marked))
    shown = run(pytester, *blocked, errors=1).stdout.str()
    assert "the import of test_it.py has the network blocked" in shown
    if MANY:
        run(pytester, *blocked, "-n", "2", errors=2)
    run(pytester, *blocked, "--dataio-allowed-hosts=loopback", passed=1)
    write(pytester, server, test_it=plain)
    shown = run(pytester, *blocked, passed=1, errors=1).stdout.str()
    assert "the fixture 'login', torn down, has the network blocked" in shown
    write(pytester, server, test_it=plain.replace("yield", "get('/early')"))
    shown = run(pytester, *blocked, errors=1).stdout.str()
    assert "the fixture 'login', set up for test_it.py::test_it, has the network blocked" in shown
    pytester.makeini("[pytest]\ndataio_block_network = true\n")
    run(pytester, errors=1)
    write(pytester, server, test_it=plain, conftest='get("/conftest")')
    result = start(pytester, "--dataio-block-network", apart=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the import of conftest.py has the network blocked" in result.stderr.str()
    assert asked(server) == ["/import"]


def test_what_is_recorded_in_time_passes_the_block(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    text = """
    from mxm_dataio import use_cassette

    with use_cassette("import.json"):
        FOUND = get("/import")

    def test_it():
        assert FOUND.startswith("/import ")
    """
    write(pytester, server, test_it=text)
    run(pytester, "--dataio-block-network", passed=1)
    run(pytester, "--dataio-block-network", passed=1)
    assert asked(server) == ["/import"]
    (pytester.path / "import.json").unlink()
    shown = run(pytester, "--dataio-mode=none", errors=1).stdout.str()
    assert "/import is not recorded in the cassette" in shown
    assert asked(server) == ["/import"]


@pytest.mark.parametrize("way", ["marked", "by conftest", "swallowed"])
def test_a_call_while_a_module_is_imported_is_said_and_refused_in_replay(
    pytester: pytest.Pytester, server: RawServer, way: str
) -> None:
    call = 'get("/import")\n'
    if way == "swallowed":
        call = 'try:\n    get("/import")\nexcept Exception:\n    pass\n'
    text = call + "\n@pytest.mark.dataio\ndef test_it(): get('/it')\n"
    conftest = ""
    if way == "by conftest":
        text = call + "\ndef test_it(): get('/it')\n"
        conftest = (
            "def pytest_collection_modifyitems(items):\n"
            "    [item.add_marker(pytest.mark.dataio) for item in items]\n"
        )
    write(pytester, server, test_it=text, conftest=conftest)
    shown = run(pytester, "-W", "default", passed=1, warnings=1).stdout.str()
    assert re.search(
        r"test_it\.py connects to 127\.0\.0\.1:\d+, by .*, while it is imported", shown
    )
    assert "replay will refuse it" in shown
    hits = len(server.requests)
    for mode in ("none", "once"):
        shown = run(pytester, f"--dataio-mode={mode}", errors=1).stdout.str()
        assert "make the call in a fixture" in shown
    if way != "by conftest":
        assert len(server.requests) == hits
    run(pytester, "--dataio-mode=off", passed=1)


def test_the_import_of_what_is_not_marked_is_left_alone(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    write(
        pytester, server, test_it="get('/import')\ndef test_it(): ...\n",
        test_marked="@pytest.mark.dataio\ndef test_it(): get('/it')\n",
    )  # fmt: skip
    run(pytester, passed=2)
    run(pytester, "--dataio-mode=none", passed=2)
    assert asked(server) == ["/import", "/import", "/it"]


def test_other_clients_of_a_recorded_test_are_named(
    pytester: pytest.Pytester, server: RawServer
) -> None:
    pytest.importorskip("httpx")
    text = """
    import httpx, urllib.request

    @pytest.mark.dataio
    def test_httpx():
        httpx.get(URL + "/httpx")

    @pytest.mark.dataio
    def test_urllib():
        urllib.request.urlopen(URL + "/urllib").read()

    @pytest.mark.dataio(stdlib=False)
    def test_urllib_left_out():
        urllib.request.urlopen(URL + "/urllib").read()
    """
    write(pytester, server, test_it=text)
    six = "ignore:_SixMetaPathImporter:ImportWarning"
    shown = run(pytester, "-W", "default", "-W", six, passed=3, warnings=2).stdout.str()
    assert re.search(r"::test_httpx made connections .* to 127\.0\.0\.1:\d+ by httpx: only", shown)
    assert "::test_urllib made" not in shown
    assert re.search(r"::test_urllib_left_out made connections .* with stdlib=True", shown)
    assert cassettes(pytester) == ["cassettes/test_it/test_urllib.json"]
    shown = run(pytester, "--dataio-mode=none", passed=1, failed=2).stdout.str()
    assert "with stdlib=True" in shown


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_hook_s_calls_for_a_marked_test_are_said_and_refused_in_replay(
    pytester: pytest.Pytester, server: RawServer, phase: str
) -> None:
    conftest = f"""
    # Before a test's fixtures are set up, and after they are torn down.
    @pytest.hookimpl(tryfirst={phase == "setup"}, trylast={phase == "teardown"})
    def pytest_runtest_{phase}(item):
        get("/hook")
    """
    text = """
    def test_plain(): ...

    @pytest.mark.dataio
    def test_marked():
        get("/it")
    """
    write(pytester, server, conftest=conftest, test_it=text)
    shown = run(pytester, "-W", "default", passed=2, warnings=1).stdout.str()
    assert "for test_it.py::test_marked, outside its fixtures and its code" in shown
    assert asked(server) == ["/hook", "/hook", "/it"]
    outcome = {"passed": 1} if phase == "setup" else {"passed": 2}
    for mode in ("none", "once"):
        shown = run(pytester, f"--dataio-mode={mode}", errors=1, **outcome).stdout.str()
        assert "make the call in a fixture" in shown
    assert asked(server) == ["/hook"] * 4 + ["/it"]


def test_a_test_may_ask_what_it_has_asked_for(pytester: pytest.Pytester, server: RawServer) -> None:
    test = """
    @pytest.mark.dataio
    def test_two(dataio):
        get("/a")
        get("/b")
        assert [call.url for call in dataio.calls] == [URL + "/a", URL + "/b"]
        assert {call.answered for call in dataio.calls} == {ANSWERED}
        assert dataio.all_played

    def test_other(dataio):
        assert not dataio.calls
    """
    for answered in ("recorded", "replayed"):
        write(pytester, server, test_it=f"ANSWERED = {answered!r}\n" + textwrap.dedent(test))
        run(pytester, passed=2)
    write(pytester, server, test_it=textwrap.dedent(test).replace('    get("/b")\n', "", 1))
    run(pytester, passed=1, failed=1)


def test_a_fixture_says_mode_and_hosts(pytester: pytest.Pytester, server: RawServer) -> None:
    conftest = """
    import os

    @pytest.fixture(scope="session")
    def dataio_config():
        return {"mode": os.environ["MODE"], "allowed_hosts": ["loopback"]}
    """
    text = """
    import socket

    @pytest.mark.dataio
    def test_it():
        assert get("/login").startswith("/login")
        socket.create_connection(("127.0.0.1", int(URL.rpartition(":")[2])), timeout=5).close()
    """
    write(pytester, server, conftest=conftest, test_it=text)
    for mode, passes in (("none", False), ("once", True), ("none", True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MODE", mode)
            run(pytester, **{"passed" if passes else "failed": 1})
    assert server.hits == 1
