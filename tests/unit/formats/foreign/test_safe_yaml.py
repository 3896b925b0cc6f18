"""YAML is read as plain values, within bounds, and nothing a file names is run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mxm_dataio.errors import ConfigError, IntegrityError
from mxm_dataio.formats.foreign import safe_yaml

FILE = Path("cassettes/test_a.yaml")


def load(text: str | bytes) -> Any:
    return safe_yaml.load(text.encode() if isinstance(text, str) else text, FILE)


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML is installed without libyaml")


@pytest.mark.usefixtures("parser")
class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("", None),
            (
                "a: [1, 0o17, 1e3, yes, 2014-01-01]",
                {"a": ["1", "0o17", "1e3", "yes", "2014-01-01"]},
            ),
            ("a: null\nb: ~\nc:\nd: 'null'", {"a": None, "b": None, "c": None, "d": "null"}),
            ("!!binary aGk=", b"hi"),
            ("!!python/unicode 'ü'", "ü"),
            ("!!python/str ü", "ü"),
            ("!!python/long 12", "12"),
            ("!!python/none ''", None),
            ("!!python/tuple [a, b]", ["a", "b"]),
            ("!!str 12", "12"),
            ("! ~", "~"),
            ("1: a", {"1": "a"}),
            ("a: 1\na: 2", {"a": "2"}),
            ("[&x [a], *x, *x]", [["a"], ["a"], ["a"]]),
            ("<<: {a: b}", {"<<": {"a": "b"}}),
        ],
    )
    def test_plain_ones(self, text: str, value: object) -> None:
        assert load(text) == value

    @pytest.mark.parametrize(
        "value",
        [
            (1, "x"),
            frozenset({("Accept", "*/*")}),
            bytearray(b"\x00\xff"),
            bytearray(),
        ],
    )
    def test_what_pyyaml_made_of_python_values(self, value: Any) -> None:
        found = load(yaml.dump(value))
        if isinstance(value, bytearray):
            assert found == value
        elif isinstance(value, frozenset):
            assert found == [["Accept", "*/*"]]
        else:
            assert found == ["1", "x"]

    def test_files_and_iterators_that_were_uploaded(self) -> None:
        import io

        opened = io.BytesIO(b"\x00data")
        opened.read(2)
        assert load(yaml.dump(opened)) == b"\x00data"
        assert load(yaml.dump(iter([b"one", "two"]))) == [b"one", "two"]
        assert load("!!python/object/apply:__builtin__.iter\nargs: [[a]]") == ["a"]

    def test_ordered_mappings(self) -> None:
        from collections import OrderedDict

        assert load(yaml.dump(OrderedDict(a="b"))) == {"a": "b"}


@pytest.mark.usefixtures("parser")
class TestRefused:
    @pytest.mark.parametrize(
        "text",
        [
            "!!python/object/apply:os.system ['touch pwned']",
            "!!python/object/new:os.system ['touch pwned']",
            "!!python/object/apply:builtins.eval ['1/0']",
            "!!python/object/apply:io.open [pwned, w]",
            "!!python/object/apply:builtins.exec {args: [x]}",
            "!!python/name:os.system ''",
            "!!python/module:os ''",
            "!!python/object:vcr.request.Other {a: b}",
            "!mine x",
            "!!omap [a: b]",
            "x: !!python/object/new:type {args: [x, [], {}]}",
        ],
    )
    def test_tags_that_would_make_or_call_something(
        self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(IntegrityError, match=r"test_a\.yaml: line 1, column \d+: the tag !"):
            load(text)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "text",
        [
            "!!python/object/apply:builtins.bytearray [[a]]",
            "!!python/object/apply:builtins.iter [a]",
            "!!python/object/new:_io.BytesIO {state: [[a]]}",
            "!!python/object/new:_io.BytesIO {state: {a: b}}",
            "!!python/object/apply:collections.OrderedDict [[[a]]]",
            "!!python/object/apply:collections.OrderedDict [[[[a], b]]]",
            "!!binary a",
            "!!binary 'ü'",
            "[a",
            "a: b: c",
            "*x",
            "&x [*x]",
            "{[a]: b}",
            "{~: b}",
            "--- a\n--- b",
            '"\\x"',
            "\t- a",
            "%YAML 9.9\n---\na",
        ],
    )
    def test_malformed_ones_are_named_with_their_place(self, text: str) -> None:
        with pytest.raises(
            IntegrityError, match=r"test_a\.yaml: (line \d+, column|no YAML|byte)"
        ) as e:
            load(text)
        assert e.value.path == FILE

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00", b"\x80", b'"\\U7fffffff"'])
    def test_bytes_that_are_no_text(self, content: bytes) -> None:
        with pytest.raises(IntegrityError):
            load(content)

    @pytest.mark.parametrize("text", ["[" * 200_000, "- " * 5_000, "{a: " * 200_000])
    def test_a_thousand_brackets(self, text: str) -> None:
        with pytest.raises(IntegrityError, match=r"deep|line"):
            load(text)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("merge", [False, True])
def test_a_billion_laughs(merge: bool) -> None:
    lines = ["a0: &a0 {x: ha}" if merge else "a0: &a0 [ha]"]
    for level in range(1, 20):
        before = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} " + (f"{{<<: [{before}]}}" if merge else f"[{before}]"))
    started = time.perf_counter()
    with pytest.raises(IntegrityError, match="the aliases stand for more than is read"):
        load("\n".join(lines))
    assert time.perf_counter() - started < 2


def test_a_large_body_that_stands_for_many_is_read() -> None:
    text = f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 100)}]"
    assert len(load(text)["b"]) == 100


def test_without_pyyaml_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"pip install 'mxm-dataio\[yaml\]'"):
        load("a: b")
