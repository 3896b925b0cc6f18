"""What another recorder recorded replays here: the program sees what it saw live.

The samples in tests/foreign were recorded by tests/foreign/record.py with the versions in their
names; the same is done anew with the versions that are installed.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest

from mxm_dataio import DataIOWarning, use_cassette
from mxm_dataio.formats.cassette import files
from mxm_dataio.formats.importing import document_of
from tests.foreign.record import BINARY
from tests.support import programs
from tests.support.effort import some
from tests.support.importing import FOREIGN, put, read, replayed, steps
from tests.support.service import service

RECORD = FOREIGN / "record.py"
# requests' recorder keeps no request headers or bodies; what depends on them is a miss.
_WITH_BODY = {"form", "post json", "multipart", "put bytes", "file", "generator", "see other"}
LEFT_OUT = {
    "vcrpy-1.7.4.yaml": {"generator"},
    "vcrpy-9.4.2.json": set(BINARY),
    "betamax-0.9.0-text.json": set(BINARY),
    "betamax-0.9.0.json": {"file", "generator"},
    # Its body came as decoded text, its headers "Accept" and "Range" not at all.
    "responses-0.26.3.yaml": _WITH_BODY | {"binary", "part"},
}
# Under urllib3 2, vcrpy has no more than the decoded body, whoever asks for the raw one.
DECODED = {"vcrpy-9.4.2.yaml": {"gzip raw"}, "responses-0.26.3.yaml": {"gzip raw"}}
# What the file does not have: the reason is the standard one, and a type is always there.
UNKNOWN = {"responses-0.26.3.yaml": {"reason", "type"}}
SAMPLES = sorted(path.name for path in FOREIGN.iterdir() if path.suffix in (".yaml", ".json"))


@pytest.fixture(scope="module")
def live() -> dict[str, programs.Seen]:
    """What each program sees with no recorder, each of a service of its own."""
    seen = {}
    for who in ("requests", "urllib3"):
        with service() as running:
            seen[who] = programs.run(steps(who, running.url))
    return seen


def base_of(file: Path) -> str:
    recordings = read(file).recordings
    return "/".join(recordings[0].exchange.request.url.split("/")[:3])


def program_of(name: str) -> str:
    return "urllib3" if "urllib3" in name else "requests"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_replays_as_the_program_ran_live(
    name: str, tmp_path: Path, live: dict[str, programs.Seen]
) -> None:
    file = FOREIGN / name
    leave = LEFT_OUT.get(name, set())
    converted = read(file, None)
    assert not converted.dropped
    put(tmp_path, "foreign", converted.recordings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataIOWarning)
        seen = replayed(tmp_path, base_of(file), program_of(name), leave, None)
    expected = {step: saw for step, saw in live[program_of(name)].items() if step not in leave}
    _compare(seen, expected, DECODED.get(name, set()), UNKNOWN.get(name, set()))


def _compare(
    seen: programs.Seen, expected: programs.Seen, decoded: set[str], unknown: set[str]
) -> None:
    assert seen.keys() == expected.keys()
    for step, saw in expected.items():
        if step in decoded and "raised" not in seen[step]:
            # The bytes off the wire are gone; what they were decoded to is here.
            assert seen[step] != saw
        else:
            assert _known(seen[step], unknown) == _known(saw, unknown), step


def _known(seen: programs.Seen, unknown: set[str]) -> programs.Seen:
    return {name: value for name, value in seen.items() if name not in unknown}


@pytest.mark.parametrize(
    ("library", "kind", "who"),
    some(
        [
            ("vcrpy", "yaml", "requests"),
            ("vcrpy", "yaml", "urllib3"),
            ("vcrpy", "json", "requests"),
            ("betamax", "exact", "requests"),
            ("betamax", "text", "requests"),
            ("responses", "yaml", "requests"),
        ],
        [
            ("vcrpy", "yaml", "urllib3"),
            ("betamax", "exact", "requests"),
            ("responses", "yaml", "requests"),
        ],
    ),
)
def test_what_the_installed_recorder_records_replays_from_a_cassette(
    library: str, kind: str, who: str, tmp_path: Path, live: dict[str, programs.Seen]
) -> None:
    if library == "responses" and _release("responses") < (0, 25, 3):
        pytest.skip("this release of responses records no headers")
    file = tmp_path / ("a.yaml" if kind == "yaml" else "a.json")
    with service() as running:
        command = [sys.executable, str(RECORD), library, kind, who, running.url, str(file)]
        subprocess.run(command, check=True, timeout=60)
        base = running.url
    # What it can't record is the same as of the samples.
    like = next(
        name
        for name in reversed(SAMPLES)
        if name.startswith(library) and name.endswith(file.suffix) and program_of(name) == who
        and ("text" in name) == (kind == "text")
    )  # fmt: skip
    leave = LEFT_OUT.get(like, set())
    path = tmp_path / "made.json"
    made, beside = document_of(read(file, None).recordings, "made")
    files.save(path, made, beside, b"")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataIOWarning)
        with use_cassette(path, "none", redaction=None):
            seen = programs.run(steps(who, base), frozenset(leave))
    expected = {step: saw for step, saw in live[who].items() if step not in leave}
    decoded = DECODED.get(like, set())
    if library == "vcrpy" and _release("urllib3") < (2,):
        decoded = set()
    _compare(seen, expected, decoded, UNKNOWN.get(like, set()))


def _release(name: str) -> tuple[int, ...]:
    return tuple(map(int, version(name).split(".")[:3]))
