"""Files are found, told apart, read and converted; one that is broken hinders no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import StoreError
from mxm_dataio.formats.interactions import Interaction, converted
from mxm_dataio.importing import Found, day_of, document_of, found_in, outcome_of
from tests.importing import FOREIGN


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def test_folders_are_looked_through_for_what_may_be_a_recording(tmp_path: Path) -> None:
    tree(tmp_path, "b/a.yaml", "b/a.YML", "a.json", "b/c", "x.py", ".git/a.json", "b/.a.yaml.tmp")
    (tmp_path / "folder.json").mkdir()
    found = list(found_in([tmp_path]))
    names = [one.file.relative_to(tmp_path).as_posix() for one in found]
    assert names == ["a.json", "b/a.YML", "b/a.yaml", "b/c"]
    assert {(one.base, one.named) for one in found} == {(tmp_path, False)}


def test_what_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    tree(tmp_path, "a.txt")
    assert list(found_in([tmp_path / "a.txt"])) == [Found(tmp_path / "a.txt", tmp_path, True)]
    with pytest.raises(StoreError, match=r"there is no file or folder .*/b\.txt"):
        list(found_in([tmp_path / "b.txt"]))


def outcome(file: Path, *, named: bool = True, **options: Any) -> Any:
    return outcome_of(Found(file, file.parent, named), **options)


@pytest.mark.parametrize("file", sorted(FOREIGN.glob("*-*.*")), ids=lambda file: file.name)
def test_the_format_is_found_out(file: Path) -> None:
    found = outcome(file)
    assert found.format == {"vcrpy": "vcr"}.get(name := file.name.partition("-")[0], name)
    assert len(found.converted.recordings) >= 7
    assert not found.problem + found.skipped


def test_a_broken_one_is_named_with_its_place(tmp_path: Path) -> None:
    (file := tmp_path / "a.yaml").write_text("interactions:\n- request: [}\n")
    found = outcome(file)
    assert found.problem.startswith(f"{file}: line 2, column 13: ")
    assert (found.format, found.converted) == ("vcr", None)


def test_what_is_no_recording(tmp_path: Path) -> None:
    (file := tmp_path / "a.json").write_text('{"a": 1}')
    assert "is no recording of a known format (cassette, " in outcome(file).problem
    assert outcome(file, named=False).skipped == "it is no recording of a known format"
    assert outcome(file, format="vcr").problem == f"{file}: interactions is missing"
    file.write_text("")
    assert outcome(file, named=False).problem == f"{file} is empty: nothing was recorded"
    file.write_text('{"mxm-dataio cassette": 1}')
    assert outcome(file).skipped == "it is a cassette already"


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    assert "can't be read: No such file" in outcome(tmp_path / "gone.yaml").problem


def recorded(*answers: tuple[str, str]) -> list[Any]:
    interactions = [
        Interaction(
            "", "GET", "http://a.test/", (), b"", 200, "OK", (("Date", date),) if date else (),
            b"x", at,
        )
        for at, date in answers
    ]  # fmt: skip
    return converted(interactions).recordings


@pytest.mark.parametrize(
    ("at", "date", "day"),
    [
        ("2014-04-11T20:30:30.000000Z", "Mon, 21 Apr 2014 23:13:40 GMT", "2014-04-11"),
        ("", "Mon, 21 Apr 2014 23:13:40 GMT", "2014-04-21"),
        ("", "Mon, 21 Apr 2014 23:13:40 -0200", "2014-04-22"),
        ("", "Mon, 21 Apr 2014", ""),
        ("", "x", ""),
        ("", "", ""),
    ],
)
def test_the_day_of_a_recording(at: str, date: str, day: str) -> None:
    assert day_of(recorded((at, date))[0].exchange) == day


def test_a_cassette_names_the_day_of_most_once() -> None:
    first, later = "2014-04-11T20:30:30.000000Z", "2014-05-11T20:30:30.000000Z"
    document, beside = document_of(recorded((later, ""), (first, ""), (first, "")), "a")
    assert document.recorded == "2014-04-11"
    days = [document.recorded_of(node) for node in document.calls]
    assert days == ["2014-05-11", "2014-04-11", "2014-04-11"]
    assert "recorded" not in document.calls[1]
    assert beside == {}
    assert json.loads(document.text())["source"] == "a"
