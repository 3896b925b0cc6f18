"""Settings: who wins, what is refused, and that the documented file says the truth."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mxm_dataio.config.settings import Settings, by_name, load, mode_of
from mxm_dataio.errors import ConfigError
from mxm_dataio.models import Mode
from tests.support import CHECKOUT

DEFAULT_YAML = CHECKOUT / "configs" / "default.yaml"


def write(folder: Path, name: str, text: str) -> dict[str, str]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return {"MXM_DATAIO_CONFIG": str(path)}


# -- precedence ------------------------------------------------------------------------------


def test_each_place_yields_to_the_one_before(tmp_path: Path) -> None:
    file = {"ttl": 3, "root": "/file", "exhausted": "error", "spool_limit": 7}
    environ = write(tmp_path, "c.json", json.dumps(file))
    environ |= {"MXM_DATAIO_TTL": "2", "MXM_DATAIO_ROOT": "/env"}
    settings = load({"ttl": 1, "root": None}, environ)
    assert settings.ttl == 1
    assert settings.root == Path("/env")
    assert (settings.exhausted, settings.spool_limit) == ("error", 7)
    assert settings.mode == "record"


def test_the_root_lies_under_the_data_root() -> None:
    assert load({}, {"MXM_DATA_ROOT": "/d"}).root == Path("/d/dataio")
    assert load({}, {}).root == Path.home() / ".mxm" / "dataio"
    assert load({"root": "~/x"}, {}).root == Path.home() / "x"


def test_the_environment_is_the_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXM_DATAIO_MODE", "REPLAY")
    assert load({}).mode == "replay"


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "ttl: 5\nstrict: true\nignore_params: [A, b]\nroot: /r\n"),
        ("c.yml", "dataio:\n  ttl: 5\n  strict: yes\n  ignore_params: 'A,b'\n  root: /r\n"),
        (
            "c.yaml",
            "mxm: {d: /r}\ndataio: {ttl: 5, strict: 1, ignore_params: 'A, b', root: '${mxm.d}'}",
        ),
        ("c.toml", 'ttl = 5\nstrict = true\nignore_params = ["A", "b"]\nroot = "/r"\n'),
        (
            "c.toml",
            '[mxm]\nx = 1\n[dataio]\nttl = 5\nstrict = "on"\nignore_params = "A,b"\nroot = "/r"',
        ),
        ("c.json", '{"ttl": 5, "strict": true, "ignore_params": ["A", "b"], "root": "/r"}'),
        ("c.json", '{"dataio": {"ttl": 5.0, "strict": 1, "ignore_params": "A,b", "root": "/r"}}'),
    ],
)
def test_every_kind_of_file_is_read(tmp_path: Path, name: str, text: str) -> None:
    settings = load({}, write(tmp_path, name, text))
    assert settings == Settings(root=Path("/r"), ttl=5.0, strict=True, ignore_params=("A", "b"))


@pytest.mark.parametrize("mode", ["record", "replay", "auto", "off", "once"])
def test_every_mode_can_stand_bare_in_yaml(tmp_path: Path, mode: str) -> None:
    # YAML 1.1 takes a bare off for false.
    assert load({}, write(tmp_path, "c.yaml", f"mode: {mode}\n")).mode == mode


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", "{"),
        ("c.json", "[1]"),
        ("c.toml", "a ="),
        ("c.yaml", "a: [1"),
        ("c.yaml", "- 1\n"),
        ("c.yaml", "root: ${nowhere}\n"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load({}, write(tmp_path, name, text))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/c\.toml"):
        load({}, {"MXM_DATAIO_CONFIG": "/nowhere/c.toml"})


def test_the_default_file_documents_every_setting() -> None:
    documented = yaml.safe_load(DEFAULT_YAML.read_text())["dataio"]
    defaults = asdict(Settings(root=Path("x")))
    assert list(documented) == [field.name for field in fields(Settings)]
    del documented["root"], defaults["root"]
    lists = [
        "ignore_params", "ignore_hosts", "ignore_body_of", "match_headers", "allowed_hosts",
        "reuse",
    ]  # fmt: skip
    assert documented == defaults | {key: [] for key in lists}
    lines = DEFAULT_YAML.read_text().splitlines()
    for index, line in enumerate(lines):
        if line.startswith("  ") and not line.lstrip().startswith("#"):
            assert lines[index - 1].lstrip().startswith("#"), f"no comment above {line!r}"


@pytest.mark.parametrize("data_root", ["/data", None])
def test_the_default_file_loads_to_the_defaults(
    monkeypatch: pytest.MonkeyPatch, data_root: str | None
) -> None:
    monkeypatch.delenv("MXM_DATAIO_CONFIG", raising=False)
    if data_root:
        monkeypatch.setenv("MXM_DATA_ROOT", data_root)
    else:
        monkeypatch.delenv("MXM_DATA_ROOT", raising=False)
    plain = load({})
    monkeypatch.setenv("MXM_DATAIO_CONFIG", str(DEFAULT_YAML))
    assert load({}) == plain


# -- refusals --------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'rooot' in the arguments.*did you mean 'root'"):
        load({"rooot": "x"}, {})
    with pytest.raises(ConfigError, match=r"'spol_limit' in the environment.*'spool_limit'"):
        load({}, {"MXM_DATAIO_SPOL_LIMIT": "1"})
    for name, text in [
        ("a.toml", "exausted = 1"),
        ("a.yaml", "exausted: 1"),
        ("a.json", '{"exausted": 1}'),
    ]:
        with pytest.raises(ConfigError, match=rf"'exausted' in the file .*{name}.*'exhausted'"):
            load({}, write(tmp_path, name, text))


def test_names_of_other_parts_are_no_settings() -> None:
    assert load({}, {"MXM_DATAIO_AUTO": "1", "OTHER": "x"}).mode == "record"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "recrod"),
        ("ttl", "soon"),
        ("ttl", -1),
        ("ttl", "nan"),
        ("ttl", "-1h"),
        ("ttl", "h"),
        ("ttl", "1y"),
        ("ttl", timedelta(-1)),
        ("ignore_params", '["a"'),
        ("ignore_params", "['a']"),
        ("ignore_params", '[["a"]]'),
        ("allowed_hosts", "[x]"),
        ("reuse", "[404"),
        ("reuse", {"404": 1}),
        ("sources", '{"a": ["b"]}'),
        ("sources", '{"a"'),
        ("ttl", [1]),
        ("exhausted", "loop"),
        ("strict", "maybe"),
        ("ignore_params", 3),
        ("spool_limit", "big"),
        ("spool_limit", -1),
        ("compression", "gzip"),
        ("root", 3),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        load({name: value}, {})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1.5", 1.5),
        (0, 0.0),
        (timedelta(minutes=2), 120.0),
        ("none", None),
        ("", None),
        ("90s", 90.0),
        ("15m", 900.0),
        ("1h", 3600.0),
        (" 30D ", 2_592_000.0),
        ("1.5 h", 5400.0),
        ("2w", 1_209_600.0),
        (float("inf"), float("inf")),
    ],
)
def test_times_to_live(value: Any, seconds: float | None) -> None:
    assert load({"ttl": value}, {}).ttl == seconds


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ignore_params", '["A", "b,c"]', ("A", "b,c")),
        ("ignore_params", " [] ", ()),
        ("allowed_hosts", '["::1"]', ("::1",)),
        # No JSON, but addresses.
        ("allowed_hosts", "[::1]:80,[2001:db8::1]", ("[::1]:80", "[2001:db8::1]")),
        ("reuse", '[404, "5xx"]', ("404", "5xx")),
        ("sources", '{"*.A.example": "a"}', {"*.a.example": "a"}),
    ],
)
def test_lists_in_the_environment_may_be_json(name: str, text: str, value: Any) -> None:
    assert getattr(load({}, {f"MXM_DATAIO_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("value", "yes"), [("1", True), ("No", False), (False, False), ("ON", True)]
)
def test_yes_and_no(value: Any, yes: bool) -> None:
    assert load({"strict": value}, {}).strict is yes


# -- modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("record", Mode.RECORD),
        ("Replay", Mode.REPLAY),
        ("auto", Mode.AUTO),
        ("off", Mode.OFF),
        (Mode.AUTO, Mode.AUTO),
        ("all", Mode.RECORD),
        ("none", Mode.REPLAY),
        ("new_episodes", Mode.AUTO),
    ],
)
def test_modes_and_vcr_s_words(word: str, mode: Mode) -> None:
    assert mode_of(word) is mode
    assert mode_of(word, recorded=True) is mode


def test_once_records_once() -> None:
    assert mode_of("once") is Mode.RECORD
    assert mode_of("once", recorded=True) is Mode.REPLAY


def test_a_misspelt_mode_names_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"record.*new_episodes, once\).*did you mean 'replay'\?"):
        mode_of("repaly")


# -- by source -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "yahoo", "other"),
    [
        (["t"], ("t",), ("t",)),
        ({"yahoo": ["t"]}, ("t",), ()),
        ({"yahoo": "t,u", "*": ["v"]}, ("t", "u"), ("v",)),
        ('{"yahoo": ["$.a"], "*": "v"}', ("$.a",), ("v",)),
    ],
)
def test_what_counts_is_said_for_all_sources_or_by_source(
    given: Any, yahoo: tuple[str, ...], other: tuple[str, ...]
) -> None:
    found = load({"ignore_params": given}, {}).ignore_params
    assert (by_name(found, "yahoo"), by_name(found, "other")) == (yahoo, other)
    assert by_name(load({"match_host": {"yahoo": "no"}}, {}).match_host, "other") is True


def test_a_view_is_a_function_or_the_name_of_one() -> None:
    for made in (load({"view": "os:path.join"}, {}), load({}, {"MXM_DATAIO_VIEW": "os:path.join"})):
        assert callable(made.view)
        assert made.view("a", "b") == "a/b"
    assert load({"view": len}, {}).view is len
    for wrong, why in (
        ("json", "module:function"),
        ("json:dumpz", "dumpz"),
        ("no_such_module:f", "no_such_module"),
        ("json:decoder.NaN", "no function"),
        (7, "no function"),
    ):
        with pytest.raises(ConfigError, match=why):
            load({"view": wrong}, {})
