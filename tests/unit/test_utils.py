"""Instants and canonical JSON."""

from __future__ import annotations

import json
import math
import re
import struct
import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.utils import (
    NotCanonicalError,
    as_of_bound,
    as_of_text,
    canonical_json,
    instant,
    parse_instant,
    utc_now,
)

# -- canonical JSON --------------------------------------------------------------------------

# RFC 8785, Appendix B: the bits of a double, and its text.
RFC_8785_NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


def double(bits: str) -> float:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(("bits", "text"), RFC_8785_NUMBERS)
def test_number_of_rfc_8785(bits: str, text: str) -> None:
    assert canonical_json(double(bits)).decode() == text


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_not_a_number_of_rfc_8785(bits: str) -> None:
    with pytest.raises(NotCanonicalError):
        canonical_json([double(bits)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (100.0, "100"),
        (123.456, "123.456"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (0.00001, "0.00001"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (True, "true"),
        (0, "0"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert canonical_json(value).decode() == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(value: float) -> None:
    text = canonical_json(value).decode()
    assert float(text) == value
    assert re.fullmatch(r"-?(0|[1-9]\d{0,20})(\.\d+)?|-?\d(\.\d+)?e[+-][1-9]\d*", text)
    # Number::toString changes form at 10^-6 and 10^21.
    assert ("e" in text) == (value != 0 and not 1e-6 <= abs(value) < 1e21)


def test_the_example_of_rfc_8785() -> None:
    # §3.2.2 and §3.2.4, where the expected bytes stand in hexadecimal.
    text = (
        r'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        r' "string": "\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/",'
        r' "literals": [null, true, false]}'
    )
    assert canonical_json(json.loads(text)).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_sort_by_utf_16() -> None:
    # RFC 8785 §3.2.3: U+1F600 is D83D DE00 and stands before U+FB33.
    text = (
        r'{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With'
        r' Dagesh", "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",'
        r' "\u00f6": "Latin Small Letter O With Diaeresis"}'
    )
    keys = list(json.loads(canonical_json(json.loads(text))))
    assert keys == ["\r", "1", "\x80", "ö", "€", "\U0001f600", "\ufb33"]


@given(st.dictionaries(st.text(max_size=3), st.none(), max_size=8))
def test_keys_sort_by_utf_16_code_units(value: dict[str, None]) -> None:
    def units(text: str) -> tuple[int, ...]:
        data = text.encode("utf-16-le")
        return struct.unpack(f"<{len(data) // 2}H", data)

    keys = list(json.loads(canonical_json(value)))
    assert keys == sorted(value, key=units)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_canonical_json_reads_back_and_is_its_own_form(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        -(2**53) - 1,
        math.nan,
        -math.inf,
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 1},
        {"a": 1, 2: 3},
        b"bytes",
        {1, 2},
        1j,
        date(2025, 1, 1),
    ],
    ids=ascii,
)
def test_what_has_no_canonical_form_raises(value: Any) -> None:
    with pytest.raises(NotCanonicalError):
        canonical_json({"a": [value]})


def test_nesting_without_end_raises() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotCanonicalError):
        canonical_json(value)


def test_tuples_are_arrays() -> None:
    assert canonical_json((1, ("a",))) == b'[1,["a"]]'


# -- instants --------------------------------------------------------------------------------

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# Doubles hold the microseconds of these years.
moments = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))
zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (0.000001, "1970-01-01T00:00:00.000001Z"),
        (-0.5, "1969-12-31T23:59:59.500000Z"),
        (1_759_838_400.25, "2025-10-07T12:00:00.250000Z"),
    ],
)
def test_instant(seconds: float, text: str) -> None:
    assert instant(seconds) == text
    assert parse_instant(text) == seconds


@given(moments)
def test_an_instant_reads_back(moment: datetime) -> None:
    text = instant(moment.timestamp())
    assert INSTANT.fullmatch(text)
    assert datetime.fromisoformat(text) == moment
    assert instant(parse_instant(text)) == text


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_an_instant_is_its_calendar_date_and_time(moment: datetime) -> None:
    # From a double, which far off 1970 holds no microseconds.
    nearest = datetime.fromtimestamp(moment.timestamp(), UTC)
    assert instant(moment.timestamp()) == nearest.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_an_instant_of_the_first_millennium_has_a_year_of_four_digits() -> None:
    assert as_of_text(datetime(325, 6, 19)) == "0325-06-19T00:00:00.000000Z"


@given(moments, moments)
def test_instants_sort_as_they_are_dated(one: datetime, another: datetime) -> None:
    texts = instant(one.timestamp()), instant(another.timestamp())
    assert (texts[0] < texts[1]) == (one < another)


def test_utc_now_is_now() -> None:
    before = time.time()
    text = utc_now()
    assert INSTANT.fullmatch(text)
    assert before - 1e-5 <= parse_instant(text) <= time.time() + 1e-5


# -- as-of dates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2025-10-07", "2025-10-07"),
        (" 2025-10-07 ", "2025-10-07"),
        ("20251007", "2025-10-07"),
        (date(2025, 10, 7), "2025-10-07"),
        (date(325, 1, 2), "0325-01-02"),
        ("2025-10-07T12:00:00", "2025-10-07T12:00:00.000000Z"),
        ("2025-10-07 12:00", "2025-10-07T12:00:00.000000Z"),
        ("2025-10-07T12:00:00Z", "2025-10-07T12:00:00.000000Z"),
        ("2025-10-07T12:00:00.25+02:00", "2025-10-07T10:00:00.250000Z"),
        ("2025-10-07T01:00+02:00", "2025-10-06T23:00:00.000000Z"),
        (datetime(2025, 10, 7), "2025-10-07T00:00:00.000000Z"),
        (datetime(2025, 10, 7, 12, tzinfo=UTC), "2025-10-07T12:00:00.000000Z"),
    ],
)
def test_as_of_text(value: str | date, text: str) -> None:
    assert as_of_text(value) == text
    assert as_of_text(text) == text


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01", "2025-10-07T25:00", "07.10.2025"])
def test_as_of_that_is_no_date_raises(text: str) -> None:
    with pytest.raises(ValueError, match="neither a date nor an instant"):
        as_of_text(text)


@given(moments, zones)
def test_as_of_text_is_the_same_in_every_zone(moment: datetime, zone: timezone) -> None:
    elsewhere = moment.astimezone(zone)
    assert as_of_text(elsewhere) == as_of_text(moment) == as_of_text(elsewhere.isoformat())
    assert as_of_text(moment.replace(tzinfo=None)) == as_of_text(moment)


@given(moments, moments)
def test_as_of_texts_sort_as_they_are_dated(one: datetime, another: datetime) -> None:
    assert (as_of_text(one) < as_of_text(another)) == (one < another)
    days = one.date(), another.date()
    assert (as_of_text(days[0]) < as_of_text(days[1])) == (days[0] < days[1])
    # A date stands before the instants of its day.
    assert (as_of_text(days[0]) < as_of_text(another)) == (days[0] <= days[1])


@given(moments, moments)
def test_as_of_bound(one: datetime, another: datetime) -> None:
    day = as_of_bound(as_of_text(one.date()))
    assert (as_of_text(another.date()) <= day) == (another.date() <= one.date())
    assert (as_of_text(another) <= day) == (another.date() <= one.date())
    bound = as_of_bound(as_of_text(one))
    assert (as_of_text(another) <= bound) == (another <= one)
    assert as_of_text(one.date()) <= bound
