"""Classes of tests under ``use_cassette``: whatever such a class runs is in a cassette."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import ConfigError, use_cassette
from tests.support.pytests import run
from tests.support.servers import RawServer, answer

pytest_plugins = ["pytester"]


@pytest.fixture
def server() -> Iterator[RawServer]:
    def numbered(connection: Any) -> None:
        while (request := connection.read_request()) is not None:
            connection.send(answer(200, f"{request.target} {server.hits}".encode()))

    with RawServer(numbered) as server:
        yield server


@pytest.fixture
def get(server: RawServer) -> Callable[[str], str]:
    return lambda path: requests.get(server.url + path, timeout=10).text


def ran(*cases: type[unittest.TestCase]) -> unittest.TestResult:
    suite = unittest.TestSuite()
    for case in cases:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    result = unittest.TestResult()
    suite.run(result)
    return result


def files(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def test_all_that_a_testcase_runs(tmp_path: Path, server: RawServer, get: Any) -> None:
    seen: list[str] = []

    class Inherited(unittest.TestCase):
        def test_inherited(self) -> None:
            seen.append(get("/inherited"))

    @use_cassette(tmp_path / "all")
    class Class(Inherited):
        @classmethod
        def setUpClass(cls) -> None:
            seen.append(get("/setUpClass"))
            cls.addClassCleanup(lambda: seen.append(get("/class-cleanup")))

        @classmethod
        def tearDownClass(cls) -> None:
            seen.append(get("/tearDownClass"))

        def setUp(self) -> None:
            seen.append(get("/setUp"))
            self.addCleanup(lambda: seen.append(get("/cleanup")))

        def tearDown(self) -> None:
            seen.append(get("/tearDown"))

        def test_own(self) -> None:
            with self.subTest(1):
                seen.append(get("/own"))

        @unittest.expectedFailure
        def test_that_is_to_fail(self) -> None:
            seen.append(get("/fails"))
            self.fail()

    result = ran(Class)
    assert (result.testsRun, result.wasSuccessful()) == (3, True), result.errors
    hits, recorded = server.hits, list(seen)
    assert hits == len(recorded) == 3 + 3 * 4
    seen.clear()
    assert ran(Class).wasSuccessful()
    assert (server.hits, seen) == (hits, recorded)
    assert files(tmp_path / "all") == [
        "Class.setUpClass", "Class.test_inherited", "Class.test_own", "Class.test_that_is_to_fail",
    ]  # fmt: skip
    # Nothing captures once it is over.
    get("/after")
    assert server.hits == hits + 1


def test_asynchronous_testcases(tmp_path: Path, server: RawServer, get: Any) -> None:
    seen: list[str] = []

    @use_cassette(tmp_path / "all")
    class Class(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            seen.append(await asyncio.to_thread(get, "/asyncSetUp"))
            self.addAsyncCleanup(self.clean)

        async def asyncTearDown(self) -> None:
            seen.append(get("/asyncTearDown"))

        async def clean(self) -> None:
            seen.append(get("/clean"))

        async def test_it(self) -> None:
            seen.append(await asyncio.get_running_loop().run_in_executor(None, get, "/it"))

    assert ran(Class).wasSuccessful()
    hits, recorded = server.hits, list(seen)
    assert hits == len(recorded) == 4
    seen.clear()
    assert ran(Class).wasSuccessful()
    assert (server.hits, seen) == (hits, recorded)


def test_subclasses_have_files_of_their_own(tmp_path: Path, server: RawServer, get: Any) -> None:
    @use_cassette(tmp_path / "shop")
    class Base(unittest.TestCase):
        what = ""

        @classmethod
        def setUpClass(cls) -> None:
            get(f"/class-{cls.what}")

        def test_it(self) -> None:
            get(f"/it-{self.what}")

    class First(Base):
        what = "first"

    class Second(Base):
        what = "second"

        @classmethod
        def setUpClass(cls) -> None:
            super().setUpClass()
            get("/more")

        def test_more(self) -> None:
            get("/test_more")

    elsewhere = type("First", (Base,), {"what": "elsewhere", "__module__": "elsewhere"})

    @use_cassette(tmp_path / "own")
    class Own(Base):
        what = "own"

    cases = (First, Second, elsewhere, Own)
    assert ran(*cases).wasSuccessful()
    hits = server.hits
    assert hits == 10
    assert ran(*cases).wasSuccessful()
    assert server.hits == hits
    assert files(tmp_path / "shop") == [
        "First.setUpClass", "First.test_it", "Second.setUpClass", "Second.test_it",
        "Second.test_more", "elsewhere.First.setUpClass", "elsewhere.First.test_it",
    ]  # fmt: skip
    assert files(tmp_path / "own") == ["Own.setUpClass", "Own.test_it"]


def test_a_mixin_meets_its_testcase_later(tmp_path: Path, server: RawServer, get: Any) -> None:
    @use_cassette(tmp_path / "mixed")
    class Mixin:
        def test_it(self) -> None:
            get("/it")

    class Case(Mixin, unittest.TestCase):
        def setUp(self) -> None:
            get("/setUp")

    assert ran(Case).wasSuccessful()
    assert server.hits == 2
    assert ran(Case).wasSuccessful()
    assert server.hits == 2


def test_what_fails_is_not_written(tmp_path: Path, get: Any) -> None:
    @use_cassette(tmp_path / "all")
    class Class(unittest.TestCase):
        def setUp(self) -> None:
            get("/setUp")

        def tearDown(self) -> None:
            if "tears" in self.id():
                raise OSError

        def test_passes(self) -> None: ...

        def test_tears(self) -> None: ...

        def test_fails(self) -> None:
            self.fail()

        def test_fails_in_part(self) -> None:
            with self.subTest(1):
                self.fail()

        def test_skips(self) -> None:
            self.skipTest("for a reason")

        @unittest.expectedFailure
        def test_passes_unexpectedly(self) -> None: ...

    @use_cassette(tmp_path / "all")
    class Broken(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            get("/class")
            raise OSError

        def test_it(self) -> None: ...

    result = ran(Class, Broken)
    assert (len(result.errors), len(result.failures), len(result.skipped)) == (2, 2, 1)
    assert files(tmp_path / "all") == ["Class.test_passes"]
    get("/after")


def test_a_miss_that_is_swallowed_and_a_cassette_that_is_damaged(
    tmp_path: Path, server: RawServer, get: Any
) -> None:
    @use_cassette(tmp_path, mode="none")
    class Class(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            swallow("/class")

        def test_swallows(self) -> None:
            swallow("/it")

        def test_damaged(self) -> None: ...

    def swallow(path: str) -> None:
        try:
            get(path)
        except Exception:
            return

    (tmp_path / "Class.test_damaged.json").write_text("{")
    result = ran(Class)
    assert result.testsRun == 2
    texts = [text for _, text in result.errors]
    assert len(texts) == 3
    for path in ("/it is not recorded", "Class.test_damaged.json", "/class is not recorded"):
        assert [text for text in texts if path in text], path
    assert server.hits == 0


def test_a_class_gives_a_folder(tmp_path: Path) -> None:
    class Class: ...

    with pytest.raises(ConfigError, match="give a folder"):
        use_cassette(tmp_path / "one.json")(Class)


PLAIN = """
import pathlib, unittest
import pytest, requests
from mxm_dataio import use_cassette

FOLDER = pathlib.Path(__file__).parent / "kept"
def get(path):
    return requests.get("{url}" + path, timeout=10).text

class Inherited:
    def test_inherited(self):
        get("/inherited")

@use_cassette(FOLDER)
class TestPlain(Inherited):
    @classmethod
    def setup_class(cls):
        get("/setup_class")

    def teardown_class(cls):
        get("/teardown_class")

    def setup_method(self):
        get("/setup_method")

    def teardown_method(self, method):
        get("/teardown_method")

    def test_own(self, tmp_path):
        get("/own")

    @pytest.mark.xfail
    def test_fails(self):
        get("/fails")
        assert 0

class TestDerived(TestPlain):
    def setup_method(self, method):
        super().setup_method(method)
        get("/" + method.__name__)

    def teardown_method(self):
        super().teardown_method(None)
        get("/late")

@use_cassette(FOLDER)
class TestBare:
    def test_it(self):
        get("/bare")

    @staticmethod
    def test_static():
        pass

@use_cassette(FOLDER)
class TestCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(get, "/class-cleanup")
        get("/setUpClass")

    def setUp(self):
        self.addCleanup(get, "/cleanup")
        get("/setUp")

    def test_it(self):
        with self.subTest(1):
            get("/it")
"""


def test_under_pytest(pytester: pytest.Pytester, server: RawServer) -> None:
    pytester.makepyfile(PLAIN.replace("{url}", server.url))
    run(pytester, passed=7, xfailed=2)
    hits = server.hits
    # Those that fail as they are to fail ask again.
    assert hits == (2 + 2 * 3 + 3) + (2 + 2 * 5 + 5) + 1 + 5
    kept = files(pytester.path / "kept")
    assert kept == [
        "TestBare.test_it", "TestCase.setUpClass", "TestCase.test_it",
        "TestDerived.setup_class", "TestDerived.test_inherited", "TestDerived.test_own",
        "TestPlain.setup_class", "TestPlain.test_inherited", "TestPlain.test_own",
    ]  # fmt: skip
    run(pytester, "-n", "2", passed=7, xfailed=2)
    assert server.hits == hits + 3 + 5
