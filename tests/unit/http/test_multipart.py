"""Bodies are split into parts as servers split them, and as no boundary decides."""

from __future__ import annotations

import mmap
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.http.multipart import headers_of, looks_multipart, parameter, part_name, parts_of

FORM = "multipart/form-data"


def split(body: bytes, content_type: str) -> list[tuple[bytes, bytes]] | None:
    found = parts_of(body, content_type)
    if found is None:
        return None
    return [(body[one.head : one.start], body[one.start : one.end]) for one in found.parts]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (f"{FORM}; boundary=b", b"b"),
        ('multipart/mixed; charset=utf-8; boundary="a b:c="', b"a b:c="),
        ("Multipart/Related; type=x; BOUNDARY=b", b"b"),
        (FORM, b"not-said"),
        (f"{FORM}; boundary=other", b"===not-that==="),
        ("", b"----WebKitFormBoundary7MA4YWxkTrZu0gW"),
    ],
)
@pytest.mark.parametrize("last", [b"--", b"", None])
def test_parts(content_type: str, boundary: bytes, end: bytes, last: bytes | None) -> None:
    mark = b"--" + boundary
    contents = [b"1", b"", b"-----BEGIN X-----\r\nabc\r\n-----END X-----\n", mark + b"x", b"\n" * 3]
    body = b"".join(
        mark + end + b"Content-Type: text/plain" + end + end + one + end for one in contents
    )
    body += b"" if last is None else mark + last + end
    found = split(body, content_type)
    assert found is not None
    assert [content for _, content in found] == contents
    assert {head for head, _ in found} == {b"Content-Type: text/plain" + end + end}


def test_text_around_the_parts() -> None:
    body = b"before\r\n--b\r\n\r\n1\r\n--b--\r\nafter\r\n--b\r\n\r\n2\r\n"
    found = parts_of(body, f"{FORM}; boundary=b")
    assert found is not None
    assert body[: found.preamble] == b"before"
    assert body[found.epilogue :] == b"after\r\n--b\r\n\r\n2\r\n"
    assert split(body, f"{FORM}; boundary=b") == [(b"\r\n", b"1")]


@pytest.mark.parametrize("body", [b"", b"a", b"--", b"--b", b"-- \r\n", b"a--b\r\n\r\n1\r\n--b--"])
def test_what_has_no_parts(body: bytes) -> None:
    assert not split(body, FORM)


@given(
    st.lists(st.binary(max_size=20).filter(lambda b: b"--b" not in b), min_size=1, max_size=4),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_any_contents_come_out(contents: list[bytes], end: bytes) -> None:
    body = b"".join(b"--b" + end + b"A: 1" + end + end + one + end for one in contents)
    found = split(body + b"--b--", f"{FORM}; boundary=b")
    assert found is not None
    if end == b"\n":
        # The carriage return before a line feed is the line end's.
        contents = [one.removesuffix(b"\r") for one in contents]
    assert [content for _, content in found] == contents


def test_a_mapped_file_is_split_as_bytes_are() -> None:
    body = b"--b\r\n\r\n" + b"x" * (3 << 20) + b"\r\n--b\r\n\r\n2\r\n--b--\r\n"
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert parts_of(mapped, f"{FORM}; boundary=b") == parts_of(body, f"{FORM}; boundary=b")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('form-data; name="a"; filename="name=b"', "a"),
        ("form-data; NAME=a", "a"),
        ("form-data; name*=utf-8''p%61ss%20%C3%A9", "pass \u00e9"),
        ("form-data; name*0=pass; name*1=word", "password"),
        ('form-data; name="a\\"b"', 'a"b'),
        ("form-data", ""),
    ],
)
def test_names(value: str, name: str) -> None:
    assert part_name([("content-disposition", value)]) == name


def test_headers() -> None:
    head = b'Content-Type: multipart/mixed;\r\n boundary="x"\r\nA:1\nB : \xe9\r\n\r\n'
    headers = headers_of(head)
    assert [name for name, _ in headers] == ["content-type", "a", "b"]
    assert parameter(headers[0][1], "boundary") == "x"
    assert headers[2][1] == "\u00e9"


@pytest.mark.parametrize(
    ("beginning", "looks"),
    [
        (b"--b\r\nContent-Disposition: form-data\r\n", True),
        (b"--b\ncontent-type: a\n", True),
        (b"---\ntitle: yaml\n", False),
        (b"-- a comment\nselect 1", False),
        (b"-----BEGIN CERTIFICATE-----\nMII", False),
        (b"", False),
    ],
)
def test_looks_multipart(beginning: bytes, looks: bool) -> None:
    assert looks_multipart(beginning) is looks
