"""The commands that read say of an archive what they say of a root that has all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mxm_dataio.archive import Archive
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.config.archive_urls import root_of
from mxm_dataio.storage.root_store import RootStore

from .archives import head, names
from .test_pull import add, run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def pushed(folder: str, root: Path) -> str:
    """Return the URL of an archive."""
    add(root, b"one", b"x" * 100_000, source="other")
    add(root, b"two", source="other")
    Archive(folder).push(root)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "requests", "requests latest", "requests --source other", "requests --limit 2",
        "requests --grep one --bodies", "show", "show latest~1", "show -3", "diff",
        "diff latest~1 latest", "stats", "stats latest~2", "coverage", "report --json",
        "report --json latest~1", "requests --status 200",
    ],
)  # fmt: skip
def test_the_same_as_of_the_root(pushed: str, root: Path, command: str) -> None:
    there, here = (run(*command.split(), "--root", one) for one in (pushed, root))
    assert there[0] == here[0]
    lines = [out.replace(pushed, str(root)).splitlines() for _, out in (there, here)]
    if command.startswith("report"):
        lines = [[said for said in some if '"type": "call"' in said] for some in lines]
        lines = [
            [{**json.loads(line), "bytes_path": None} for line in some] for some in lines
        ]  # fmt: skip
        for one in (*lines[0], *lines[1]):
            for attempt in one.get("attempts", one.get("responses", [])):
                attempt.pop("bytes_path", None)
    assert lines[0] == lines[1]
    assert lines[0]


def test_no_more_is_fetched_than_is_asked_for(pushed: str) -> None:
    run("show", "--root", pushed)
    with RootStore(root_of(pushed)) as store:
        assert len(store.sessions()) == 1


def test_sessions_are_listed_without_their_calls(pushed: str, root: Path) -> None:
    ObjectStore(pushed).delete([*names(pushed, "exchanges"), *names(pushed, "payloads")])
    there, here = (
        [json.loads(line) for line in run("sessions", "--json", "--root", one)[1].splitlines()]
        for one in (pushed, root)
    )
    unknown = dict.fromkeys(("attempts", "errors", "bytes", "family"))
    assert [one | unknown for one in there] == [one | unknown for one in here]
    assert there[0]["errors"] is None
    assert [one["family"]["calls"] for one in there] == [one["family"]["calls"] for one in here]
    status, said = run("sessions", "--root", pushed, "--source", "other", "--limit", "1")
    assert (status, len(said.splitlines())) == (0, 1)


def test_a_damaged_session_is_named_and_the_others_are_listed(pushed: str) -> None:
    name = names(pushed, "sessions")[0]
    ObjectStore(pushed).put(name, b"x")
    status, said = run("sessions", "--root", pushed)
    assert status == 1
    assert name in said
    assert len([line for line in said.splitlines() if "\t" in line]) == 4


def test_a_name_that_nothing_has(pushed: str) -> None:
    assert run("show", "nothing", "--root", pushed) == (
        2, f"Error: no session and no call nothing is recorded in {pushed}\n"
    )  # fmt: skip


def test_verify(pushed: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "heads.txt").write_text(f"{head(root)}\n")
    status, said = run("verify", "--root", pushed, "--against", tmp_path / "heads.txt")
    assert status == 0
    assert "all as recorded" in said
    assert str(head(root)) in said
    assert run("verify", "latest", "--root", pushed)[0] == 2
    ObjectStore(pushed).put(names(pushed, "exchanges")[0], b"x")
    status, said = run("verify", "--root", pushed)
    assert status == 1
    assert names(pushed, "exchanges")[0] in "".join(said.split("\n"))


def test_a_report_checks_against_a_head(pushed: str, root: Path) -> None:
    arguments = ("report", "latest~1", "--json", "--against", head(root))
    status, said = run(*arguments, "--root", pushed)
    assert status == 0, said


@pytest.mark.parametrize("command", ["head", "prove latest", "forget x", "prune", "push"])
def test_what_takes_a_folder(pushed: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said = run(*command.split(), "--root", pushed)
    assert status == 2
    assert "this takes a folder, and no archive" in " ".join(said.split())
    monkeypatch.setenv("MXM_DATAIO_ROOT", pushed)
    assert run(*command.split())[0] == 2


def test_no_archive_there(tmp_path: Path) -> None:
    for command in ("sessions", "show", "verify", "stats"):
        status, said = run(command, "--root", f"file://{tmp_path}/none")
        assert status == 2
        assert "nothing is archived" in said
