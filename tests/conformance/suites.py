"""The suites: whose tests are run, of which versions, and what is left out of them and why.

Python's own tests of ``http.client`` and what is over it come with some Pythons, and are run where
they do.

What each needs is pinned in ``requirements/<project>-<version>.txt``. ``flaky`` is not among it:
a test of urllib3 1.26 that fails at first and passes at its second try would not be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"

End = Literal["newest", "oldest"]
Mode = Literal["plain", "hook", "mount", "stdlib"]
ENDS: tuple[End, ...] = get_args(End)
URLLIB3_PATHS = (
    "test/with_dummyserver",
    "test/test_response.py",
    "test/test_connectionpool.py",
    "test/test_poolmanager.py",
)
# Python's own, as modules.
OWN_TESTS = (
    "test.test_httplib",
    "test.test_urllib",
    "test.test_urllib2",
    "test.test_urllib2_localnet",
    "test.test_urllib_response",
    "test.test_robotparser",
    "test.test_xmlrpc",
    "test.test_docxmlrpc",
)
FAR = "asks hosts on the internet"
LARGE = "moves 2 GiB through TLS, a minute each and more; ends alike (run with --all)"


@dataclass(frozen=True)
class Suite:
    """One release's tests.

    Args:
        modes: what is compared with the plain run.
        excluded: the tests left out, by the beginning of their ids, each with its reason.
        before: the first Python that this release does not run on.
        shipped: it comes with Python, and its version is Python's.
    """

    project: str
    version: str
    end: End
    paths: tuple[str, ...]
    modes: tuple[Mode, ...] = ("hook",)
    excluded: Mapping[str, str] = field(default_factory=dict)
    before: tuple[int, int] | None = None
    shipped: bool = False

    def __post_init__(self) -> None:
        for test, reason in self.excluded.items():
            if not reason.strip():
                raise ValueError(f"{test} is left out without a reason")

    @property
    def name(self) -> str:
        """Project and version."""
        return f"{self.project}-{self.version}"

    @property
    def there(self) -> bool:
        """It can be had: what comes with Python may have been left out of this one."""
        return not self.shipped or all(map(_found, self.paths))

    @property
    def requirements(self) -> tuple[str, ...]:
        """What its environment is made of."""
        lines = (REQUIREMENTS / f"{self.name}.txt").read_text().splitlines()
        return tuple(line for line in lines if line and not line.startswith("#"))


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


SUITES = (
    Suite("requests", "2.34.2", "newest", ("tests",), ("hook", "mount", "stdlib")),
    Suite("urllib3", "2.8.0", "newest", URLLIB3_PATHS, ("hook", "stdlib")),
    Suite(
        "http.client",
        "shipped",
        "newest",
        OWN_TESTS,
        ("stdlib",),
        excluded={
            "test/test_httplib.py::HTTPSTest::test_networked": FAR,
            "test/test_robotparser.py::NetworkTestCase": FAR,
        },
        shipped=True,
    ),
    # Their copies of "six" import on no newer Python.
    Suite("requests", "2.28.0", "oldest", ("tests",), ("hook", "mount"), before=(3, 12)),
    Suite("urllib3", "1.26.0", "oldest", URLLIB3_PATHS, before=(3, 12)),
    Suite(
        "urllib3",
        "1.26.20",
        "oldest",
        URLLIB3_PATHS,
        excluded={
            "test/with_dummyserver/test_socketlevel.py::TestSSL"
            "::test_requesting_large_resources_via_ssl": LARGE
        },
    ),
)
