"""Source → fetcher, by registration or by entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mxm_dataio import registry
from mxm_dataio.errors import ConfigError
from mxm_dataio.models import Request
from mxm_dataio.registry import GROUP, fetcher_for, register, unregister

SOURCE = "unit-test-source"


class Fixed:
    """A fetcher with one answer."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def fetch(self, request: Request) -> bytes:
        return self.content


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = dict(registry._fetchers)
    yield
    registry._fetchers.clear()
    registry._fetchers.update(before)


@pytest.fixture
def entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a package whose entry point for the source is ``value``."""

    def install(value: str) -> None:
        info = tmp_path / "theirs-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{SOURCE} = {value}\n")
        (tmp_path / f"{tmp_path.name}.py").write_text(
            "class Good:\n    def fetch(self, request): return b'good'\n"
            "class Broken:\n    def __init__(self): raise OSError('no gateway')\n"
            "made = Good()\nno_fetcher = 3\n"
        )
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_register_replace_unregister() -> None:
    first, second = Fixed(), Fixed()
    assert fetcher_for(SOURCE) is None
    register(SOURCE, first)
    assert fetcher_for(SOURCE) is first
    register(SOURCE, second)
    assert fetcher_for(SOURCE) is second
    assert fetcher_for("other") is None
    unregister(SOURCE)
    unregister(SOURCE)
    assert fetcher_for(SOURCE) is None


@pytest.mark.parametrize("thing", [object(), None, type("T", (), {"fetch": b"not callable"})()])
def test_a_thing_that_can_t_fetch_is_refused(thing: object) -> None:
    with pytest.raises(ConfigError, match=rf"'{SOURCE}'.*fetch\(request\)"):
        register(SOURCE, thing)  # type: ignore[arg-type]
    assert fetcher_for(SOURCE) is None


@pytest.mark.parametrize("name", ["Good", "made"])
def test_an_entry_point_is_found_and_made_once(
    entry_point: Callable[[str], None], tmp_path: Path, name: str
) -> None:
    entry_point(f"{tmp_path.name}:{name}")
    found = fetcher_for(SOURCE)
    assert found is not None
    assert found.fetch(Request("r", "s", SOURCE, "e")) == b"good"
    assert fetcher_for(SOURCE) is found


def test_a_registration_goes_before_an_entry_point(
    entry_point: Callable[[str], None], tmp_path: Path
) -> None:
    entry_point(f"{tmp_path.name}:made")
    mine = Fixed()
    register(SOURCE, mine)
    assert fetcher_for(SOURCE) is mine
    unregister(SOURCE)
    assert fetcher_for(SOURCE) not in (None, mine)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no_such_module_here:X", "No module named"),
        ("{module}:missing", "missing"),
        ("{module}:Broken", "no gateway"),
        ("{module}:no_fetcher", r"fetch\(request\)"),
    ],
)
def test_a_broken_entry_point_is_a_config_error(
    entry_point: Callable[[str], None], tmp_path: Path, value: str, why: str
) -> None:
    entry_point(value.format(module=tmp_path.name))
    with pytest.raises(ConfigError, match=why) as caught:
        fetcher_for(SOURCE)
    assert SOURCE in str(caught.value)
