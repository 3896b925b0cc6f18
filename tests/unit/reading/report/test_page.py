"""The page: nothing of the record is markup in it, and its size is bounded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.reading.report.gather import Limits, gather
from mxm_dataio.reading.report.page import embedded, page
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.recorded import Recorder, Try

AT = "2025-10-08T00:00:00.000000Z"
HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>{{script}}{{data}}\u2028&amp;\"'"

json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)


def data_of(text: str) -> Any:
    """Return the data block of a page, as a browser's parser delimits it."""
    _, _, rest = text.partition('<script type="application/json" id="data">')
    return json.loads(rest.partition("</script>")[0])


@given(json_values)
def test_data_comes_back_and_has_no_markup(value: Any) -> None:
    text = embedded(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text.encode()) == value


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert json.loads(embedded("a\ud800b").encode()) == "a\ud800b"


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        embedded(float("nan"))


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store, program=HOSTILE, source="market")
        main.call(
            f"https://data.example/{HOSTILE}",
            Try(body=HOSTILE.encode(), headers=[("X-Hostile", HOSTILE)]),
            method="POST",
            upload=HOSTILE.encode(),
        )
        main.end(1, warnings=[HOSTILE])
        return page(gather(store, main.session.id), AT)


def test_nothing_of_the_record_is_markup(hostile: str) -> None:
    assert "<img" not in hostile
    assert hostile.lower().count("<script") == hostile.count("</script>") == 2
    found = data_of(hostile)
    assert found["parts"][0]["program"] == HOSTILE
    assert found["parts"][0]["warnings"] == [HOSTILE]
    assert found["bodies"]["0"][1] == HOSTILE
    assert f"X-Hostile: {HOSTILE}".replace("\u2028", "â\x80¨") in found["lines"]


def test_the_policy_lets_only_its_own_script_and_style_in(hostile: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', hostile)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (style,) = re.findall(r"<style>(.*?)</style>", hostile, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", hostile, re.DOTALL)
    for rule, source in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    # Before all that it governs.
    assert hostile.index("Content-Security-Policy") < hostile.index("<style>")


def test_it_refers_to_nothing_else(hostile: str) -> None:
    markup = re.sub(r"<(script|style).*?</\1>", "", hostile, flags=re.DOTALL)
    assert not re.search(r"\b(src|srcset|action|poster|background)=", markup)
    assert set(re.findall(r'href="(.)', markup)) == {"#"}
    (style,) = re.findall(r"<style>(.*?)</style>", hostile, re.DOTALL)
    assert not re.search(r"url\(|@import|expression", style)


def test_no_way_into_the_document_but_as_text() -> None:
    folder = CHECKOUT / "mxm_dataio" / "reading" / "report" / "static"
    if not folder.is_dir():
        pytest.skip("the source is not here")
    source = "".join(path.read_text() for path in sorted(folder.glob("*.js")))
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
        r"DOMParser|createContextualFragment|srcdoc|setHTML|\bfetch\(|XMLHttpRequest|import\(",
        source,
    )


def test_its_size_is_bounded_whatever_the_calls_are(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        for number in range(60):
            main.call(
                f"https://data.example/{number}?{'u' * 60_000}",
                Try(
                    body=b'<"' * 5000 + b"%d" % number,
                    headers=[(f"X-{n}-{number}", "h" * 3000) for n in range(120)],
                ),
                headers=[("X-Sent", f"{number}" * 5000)],
                upload=bytes(range(256)) * 20 + b"%d" % number,
            )
        main.end(1)
        made = gather(store, main.session.id, limits=Limits(bodies=100_000))
    text = page(made, AT)
    assert made.body_limit == 833
    found = data_of(text)
    assert len(found["calls"]["id"]) == 60
    assert sum(map(len, found["lines"])) < (2 << 20) + 200_000
    assert len(text) < 3_500_000
    assert found["cut"] > 60
    for is_hex, content, whole, _ in found["bodies"].values():
        assert not whole
        assert len(embedded(content)) <= 833 * (2 if is_hex else 1.5) + 64


def test_columns_are_the_calls(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        child = Recorder.begin(store, main.session)
        main.call("https://a.example/1", Try(503), Try(200, b"x", url="https://a.example/2"))
        child.call("https://b.example/1", Try(404, b"x"), at=2.5)
        child.end(3)
        main.end(4)
        found = data_of(page(gather(store, main.session.id), AT))
    calls, attempts = found["calls"], found["attempts"]
    assert calls["id"] == [*main.calls, *child.calls]
    assert calls["session"] == [0, 1]
    assert calls["attempts"] == [2, 1]
    assert calls["start"] == [0, 2500]
    assert calls["wrong"] == [-1, 0]
    assert found["failing"][0]["what"] == "404 Not Found"
    assert [found["hosts"][place]["name"] for place in calls["host"]] == ["a.example", "b.example"]
    assert attempts["code"] == [503, 200, 404]
    assert [place < 0 or found["urls"][place] for place in attempts["url"]] == [
        True, "https://a.example/2", True,
    ]  # fmt: skip
    assert attempts["body"][1] == attempts["body"][2]
    assert found["checksums"][attempts["body"][1]] == hashlib.sha256(b"x").hexdigest()
    assert attempts["total"] == [30, 30, 30]


def test_no_calls(tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        main = Recorder.begin(store)
        main.end(1)
        found = data_of(page(gather(store, main.session.id), AT))
    assert found["calls"]["id"] == found["attempts"]["code"] == []
