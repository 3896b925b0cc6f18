"""The error tree: one root, picklable, and no relative of the libraries' own errors."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import requests
import urllib3

import mxm_dataio
from mxm_dataio import errors
from mxm_dataio.errors import (
    BusyError,
    ConfigError,
    DataIOError,
    DataIOWarning,
    FetchError,
    IntegrityError,
    NearMiss,
    ReplayMissError,
    StoreError,
)

NEAR = NearMiss("id-1", "GET", "http://h/a", ("param a: asked '1', recorded '2'",))


@pytest.mark.parametrize(
    "error",
    [
        DataIOError("base"),
        ConfigError("config"),
        StoreError("store", path=Path("/a/b")),
        StoreError("store without a path"),
        IntegrityError("damaged", path=Path("/a/c")),
        BusyError("held", path=Path("/a/c")),
        FetchError("fetch", error_class="a.B"),
        ReplayMissError("miss", method="PUT", url="http://h/", params_hash="ab", nearest=(NEAR,)),
    ],
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_errors_survive_pickling_with_their_attributes(error: DataIOError, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_attributes_are_what_was_given() -> None:
    assert StoreError("m", path=Path("/p")).path == Path("/p")
    assert FetchError("m", error_class="x.Y").error_class == "x.Y"
    miss = ReplayMissError("m", method="GET", url="u", params_hash="h", nearest=(NEAR,))
    assert (miss.method, miss.url, miss.params_hash, miss.nearest) == ("GET", "u", "h", (NEAR,))


def test_a_note_survives_pickling() -> None:
    error = ReplayMissError("miss")
    error.add_note("seen twice")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen twice"]


def test_all_errors_are_one_tree() -> None:
    found = {
        one
        for one in vars(errors).values()
        if isinstance(one, type)
        and issubclass(one, Exception)
        and one.__module__ == errors.__name__
    }
    assert {one for one in found if not issubclass(one, DataIOError)} == {DataIOWarning}
    assert issubclass(IntegrityError, StoreError)
    assert issubclass(DataIOWarning, UserWarning)
    assert all(getattr(mxm_dataio, one.__name__) is one for one in found)


@pytest.mark.parametrize(
    "swallowed",
    [
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
    ],
)
def test_a_miss_passes_the_handlers_that_scrapers_write(swallowed: type[Exception]) -> None:
    assert not issubclass(ReplayMissError, swallowed)
    assert not issubclass(IntegrityError, swallowed)
