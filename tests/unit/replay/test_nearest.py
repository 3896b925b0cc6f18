"""What a miss says: readable differences, the likeliest call first."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mxm_dataio.identity import identify
from mxm_dataio.models import Request
from mxm_dataio.replay.nearest import nearest

URL = "https://h.example/v1/bars"
JSON = (("Content-Type", "application/json"),)
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
PARTS = [("Content-Type", "multipart/mixed; boundary=b")]
NAMED = b'Content-Disposition: form-data; name="me"'


def document(method: str = "GET", url: str = URL, **more: Any) -> str:
    return identify(method, url, **more).document().decode()


def recorded(
    method: str = "GET",
    url: str = URL,
    *,
    id: str = "r",
    source: str = "src",
    as_of: str = "2025-01-02",
    **more: Any,
) -> Request:
    text = document(method, url, **more)
    endpoint = json.loads(text)["endpoint"]
    return Request(id, "s", source, endpoint, method=method, url=url, as_of=as_of, identity=text)


def differences(asked: str, *candidates: Request, bound: str | None = None) -> tuple[str, ...]:
    return nearest(asked, candidates, source="src", bound=bound)[0].differences


def body(value: Any) -> dict[str, Any]:
    return {"headers": JSON, "body": json.dumps(value).encode()}


@pytest.mark.parametrize(
    ("asked", "held", "said"),
    [
        (
            document(url=f"{URL}?a=1"),
            recorded(url=f"{URL}?a=2"),
            "param a: asked '1', recorded '2'",
        ),
        (document(url=f"{URL}?a=1"), recorded(), "param a: asked '1', not in the recorded call"),
        (document(), recorded(url=f"{URL}?a="), "param a: recorded '', not in this call"),
        (
            document(url=f"{URL}?a=1&a=2"),
            recorded(url=f"{URL}?a=2&a=1"),
            'param a: asked ["1", "2"], recorded ["2", "1"]',
        ),
        (
            document(headers=[("Range", "bytes=0-9")]),
            recorded(headers=[("Range", "bytes=0-8")]),
            "header range: asked 'bytes=0-9', recorded 'bytes=0-8'",
        ),
        (document("POST"), recorded("GET"), "method: asked POST, recorded GET"),
        (
            document(url=URL + "/x"),
            recorded(),
            f"endpoint: asked {URL}/x, recorded {URL}",
        ),
        (document(), recorded(source="other"), "source: asked 'src', recorded 'other'"),
        (
            document(**body({"a": {"b": [1, 2]}})),
            recorded(**body({"a": {"b": [1, 3]}})),
            "body $.a.b[1]: asked 2, recorded 3",
        ),
        (
            document(**body({"a": 1, "new": "é"})),
            recorded(**body({"a": 1})),
            "body $.new: asked 'é', recorded nothing",
        ),
        (
            document(**body({"a": 1})),
            recorded(**body({"a": 1, "old": None})),
            "body $.old: asked nothing, recorded null",
        ),
        (
            document(**body([1, 2])),
            recorded(**body([1])),
            "body $: asked [1, 2], recorded [1]",
        ),
        (
            document(headers=FORM, body=b"a=1&b=2"),
            recorded(headers=FORM, body=b"a=1&b=3"),
            "form field b: asked '2', recorded '3'",
        ),
        (document(headers=FORM, body=b"a=1"), recorded(), "body: the recorded call has none"),
        (document(), recorded(headers=FORM, body=b"a=1"), "body: this call has none"),
        (document(body=b"\x00"), recorded(body=b"\x01"), "body: sha256 differs"),
        (
            document(headers=PARTS, body=b"--b\n\n1\n--b\n%s\n\n2\n--b--" % NAMED),
            recorded(headers=PARTS, body=b"--b\n\n1\n--b\n%s\n\n3\n--b--" % NAMED),
            "body part 2 ('me'): it has other content",
        ),
        (
            document(headers=PARTS, body=b"--b\nA: 1\n\n1\n--b--"),
            recorded(headers=PARTS, body=b"--b\nA: 2\n\n1\n--b--"),
            "part 1: header a asked '1', recorded '2'",
        ),
        (
            document(headers=PARTS, body=b"--b\n%s; filename=a\n\n1\n--b--" % NAMED),
            recorded(headers=PARTS, body=b'--b\n%s; filename="b"\n\n1\n--b--' % NAMED),
            "part 'me': filename asked 'a', recorded 'b'",
        ),
        (
            document(headers=PARTS, body=b"--b\n%s\nContent-Type: a/b\n\n1\n--b--" % NAMED),
            recorded(headers=PARTS, body=b"--b\n%s\n\n1\n--b--" % NAMED),
            "part 'me': header content-type asked 'a/b', recorded none",
        ),
        (
            document(headers=PARTS, body=b"--b\n\n1\n--b\n\n2\n--b--"),
            recorded(headers=PARTS, body=b"--b\n\n1\n--b--"),
            "body: asked 2 parts, recorded 1",
        ),
        (
            document(**body({"a": 1})),
            recorded(headers=FORM, body=b"a=1"),
            "body: asked as json, recorded as form",
        ),
    ],
)
def test_one_difference_one_readable_line(asked: str, held: Request, said: str) -> None:
    assert differences(asked, held) == (said,)


def test_true_and_one_are_told_apart() -> None:
    # Python calls them equal, JSON and params_hash do not.
    assert differences(document(**body({"a": True})), recorded(**body({"a": 1}))) == (
        "body $.a: asked true, recorded 1",
    )


def test_a_header_the_recorded_answer_varied_on_is_compared() -> None:
    def language(value: str) -> list[tuple[str, str]]:
        return [("Accept-Language", value)]

    identity = identify("GET", URL, headers=language("en"))
    held = replace(recorded(), identity=identity.document(["accept-language"]).decode())
    (near,) = nearest(
        document(headers=language("de")),
        [held],
        source="src",
        bound=None,
        headers={"accept-language": "de"},
    )
    assert near.differences == ("header accept-language: asked 'de', recorded 'en'",)


def test_a_recording_of_a_later_day_says_so() -> None:
    late = recorded(as_of="2025-03-01")
    assert differences(document(), late, bound="2025-02-01~") == (
        "date: recorded as of 2025-03-01, after the asked 2025-02-01",
    )
    assert differences(document(), late, bound="2025-03-01~") == ()
    assert differences(document(), late) == ()


def test_all_differences_are_listed() -> None:
    asked = document("POST", f"{URL}?a=1&b=2", headers=[("Accept", "text/csv")])
    assert differences(asked, recorded(url=f"{URL}?a=2")) == (
        "method: asked POST, recorded GET",
        "param a: asked '1', recorded '2'",
        "param b: asked '2', not in the recorded call",
        "header accept: asked 'text/csv', not in the recorded call",
    )


def test_long_values_are_cut() -> None:
    (line,) = differences(document(url=f"{URL}?a={'x' * 500}"), recorded(url=f"{URL}?a=1"))
    assert len(line) < 120
    assert "…" in line


def test_a_param_that_is_no_text_is_shown() -> None:
    (line,) = differences(document(url=f"{URL}?a=%FF"), recorded(url=f"{URL}?a=1"))
    assert line == """param a: asked {"hex": "ff"}, recorded '1'"""


def test_those_that_differ_in_more_than_the_first_are_left_out() -> None:
    asked = document(url=f"{URL}?a=1&b=2&c=3")
    candidates = [
        recorded(url="https://other.example/v1/bars?a=1&b=2&c=3", id="host"),
        recorded(url=f"{URL}?a=1&b=9&c=9", id="two"),
        recorded(url=f"{URL}/x?a=1&b=2&c=3", id="path"),
        recorded(url=f"{URL}?a=1&b=2&c=9", id="one"),
    ]
    while candidates:
        (found,) = nearest(asked, candidates, source="src", bound=None)
        assert found.request_id == ("one", "two", "path", "host")[-len(candidates)]
        candidates = [one for one in candidates if one.id != found.request_id]


def test_of_those_that_are_alike_three_are_shown() -> None:
    asked = document(url=f"{URL}?page=1&nonce=x")
    candidates = [recorded(url=f"{URL}?page=1&nonce={n}", id=str(n)) for n in range(5)]
    found = nearest(asked, candidates, source="src", bound=None)
    assert [near.request_id for near in found] == ["0", "1", "2"]
    assert {(near.method, near.ignorable) for near in found} == {("GET", ("nonce",))}
    assert found[0].url == f"{URL}?page=1&nonce=0"


@pytest.mark.parametrize(
    ("asked", "other", "names"),
    [
        ({"url": f"{URL}?b=1&a=1"}, {"url": URL}, ("a", "b")),
        ({"body": b'{"a": {"x.y": 1, "z": [{"t": 1}]}}'},
         {"body": b'{"a": {"x.y": 2, "z": [{"t": 2}]}}'}, ("x.y", "t")),
        ({"body": b"[1]"}, {"body": b"[2]"}, ()),
        ({"url": f"{URL}?a=1", "method": "POST"}, {"url": f"{URL}?a=2"}, ()),
        ({"url": URL}, {"url": URL}, ()),
    ],
)  # fmt: skip
def test_what_could_be_left_out_is_named(asked: Any, other: Any, names: tuple[str, ...]) -> None:
    json = {"headers": [("Content-Type", "application/json")]}
    (found,) = nearest(
        document(**json, **asked), [recorded(**json, **other)], source="src", bound=None
    )
    assert found.ignorable == names


def test_equal_calls_are_named_once_by_the_better() -> None:
    late, early = recorded(as_of="2025-03-01", id="late"), recorded(as_of="2025-01-01", id="early")
    found = nearest(document(), [late, early, late], source="src", bound="2025-02-01~")
    assert [near.request_id for near in found] == ["early"]


def test_nothing_is_near_an_empty_store() -> None:
    assert nearest(document(), [], source="src", bound=None) == ()
