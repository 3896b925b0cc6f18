"""The values: frozen, slotted, and what they derive from their fields."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from mxm_dataio import models
from mxm_dataio.models import Exchange, Failure, Mode, Request, Response, Status

CLASSES = [one for one in vars(models).values() if dataclasses.is_dataclass(one)]
NAMES = {"Session", "Failure", "Request", "Timings", "Framing", "Response", "Exchange"}
ANY: dict[str, Any] = {"bytes": b"x", "Mode": Mode.RECORD, "Status": Status.RUNNING}


def make(cls: Any) -> Any:
    required = {
        field.name: ANY.get(field.type, "x")
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return cls(**required)


def test_every_value_is_covered() -> None:
    assert not NAMES - {cls.__name__ for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_frozen_and_slotted(cls: Any) -> None:
    value = make(cls)
    name = dataclasses.fields(cls)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")
    assert not hasattr(value, "__dict__")
    assert pickle.loads(pickle.dumps(value)) == value


def test_enums_are_their_words() -> None:
    assert [mode.value for mode in Mode] == ["record", "replay", "auto", "off"]
    assert f"{Status.PARTIAL}" == "partial"


def test_a_response_names_itself_and_its_error() -> None:
    bare = Response(request_id="r", sequence=2)
    assert bare.id == "r/2"
    assert (bare.error_class, bare.error_message) == (None, None)
    failed = Response(request_id="r", failure=Failure("a.B", "why"))
    assert (failed.error_class, failed.error_message) == ("a.B", "why")


def test_header_is_case_blind_and_joins_repeats() -> None:
    response = Response("r", headers=(("ETag", "1"), ("Vary", "a"), ("vary", "b")))
    assert response.header("etag") == "1"
    assert response.header("VARY") == "a, b"
    assert response.header("Age") is None


def test_the_answer_is_the_last_attempt() -> None:
    request = Request(id="r", session_id="s", source="x", endpoint="e")
    attempts = (Response("r", 1), Response("r", 2))
    assert Exchange(request, attempts).answer is attempts[1]
    assert Exchange(request, ()).answer is None
