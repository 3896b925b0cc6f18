"""Values of XML are replaced in place, whether it is well formed or not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxm_dataio.http.named_values import Kind
from mxm_dataio.http.xml_values import replace_xml
from tests.support.effort import crossed


def masked(name: str, value: str, kind: Kind) -> str | None:
    if kind is Kind.PASSING:
        return "PASSING"
    return "MASK" if name.lower() == "password" or kind is Kind.SIGNATURE else None


# A header of WS-Security and WS-Addressing: what is secret in it, and what is made anew.
SECURITY = """<s:Header><o:Security><o:UsernameToken u:Id="{1}"><o:Username>{1}</o:Username>
<o:Password Type="x#PasswordDigest">{0}</o:Password><o:Nonce>{0}</o:Nonce>
<u:Created>{0}</u:Created></o:UsernameToken><ds:Reference URI="{1}"/>
<ds:SignatureValue>{0}</ds:SignatureValue></o:Security><a:MessageID>{1}</a:MessageID></s:Header>
<s:Body wsu:Id="{1}"><Created>s</Created><Nonce>s</Nonce></s:Body>"""


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (
            '<?xml version="1.0"?>\n<e:E xmlns:e="x"><n:PassWord> a&amp;b\n</n:PassWord></e:E>',
            '<?xml version="1.0"?>\n<e:E xmlns:e="x"><n:PassWord> MASK\n</n:PassWord></e:E>',
        ),
        (
            "<member><name>password</name><value><string>s</string></value></member>"
            "<member><name>a</name><value>s</value></member>",
            "<member><name>password</name><value><string>MASK</string></value></member>"
            "<member><name>a</name><value>s</value></member>",
        ),
        (
            "<dict><key>password</key><string>s</string><key>b</key><string>s</string></dict>",
            "<dict><key>password</key><string>MASK</string><key>b</key><string>s</string></dict>",
        ),
        (
            "<i name='password' value='s'/><i name='a' value='s'/><p key=password>s</p>",
            "<i name='password' value='MASK'/><i name='a' value='s'/><p key=password>MASK</p>",
        ),
        ("<book><name>password</name><price>1</price></book>",) * 2,
        ('<a password="s" b="s" /><b>s</b>', '<a password="MASK" b="s" /><b>s</b>'),
        ("<a password=s b='s'>s</a>", "<a password=MASK b='s'>s</a>"),
        (
            "<password><![CDATA[s<]]><!-- <a> --><b>s</b><c/> </password>s",
            "<password><![CDATA[MASK]]><!-- <a> --><b>MASK</b><c/> </password>s",
        ),
        ("<password>s<br>s", "<password>MASK<br>MASK"),
        ("<password>s", "<password>MASK"),
        ('<a password="s', '<a password="MASK'),
        ("<password/><a>s</a>", "<password/><a>s</a>"),
        ("<password></password><a>s</a>", "<password></password><a>s</a>"),
        ("<a><password>s</a><b>s</b>", "<a><password>MASK</a><b>s</b>"),
        ("<a></b></a></password><a>1 < 2 <> </a>",) * 2,
        ("<!-- <password>s</password> --><a>s</a>",) * 2,
        (
            '<!DOCTYPE a [<!ENTITY x "s>]"> ]><a><password>&x;</password></a>',
            '<!DOCTYPE a [<!ENTITY x "MASK"> ]><a><password>MASK</password></a>',
        ),
        (SECURITY.format("s", "s"), SECURITY.format("MASK", "PASSING")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_values(text: str, after: str, encoding: str) -> None:
    assert replace_xml(text.encode(encoding), masked) == after.encode(encoding)


def test_bytes_that_are_no_utf_8_stay() -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><a>\u00e9</a><password>\u00e9</password>'
    after = replace_xml(text.encode("latin-1"), masked)
    assert after == text.replace(">\u00e9</p", ">MASK</p").encode("latin-1")


def test_a_value_is_told_decoded_and_its_replacement_is_escaped() -> None:
    told: list[str] = []

    def ask(name: str, value: str, kind: Kind) -> str | None:
        told.append(value)
        return "<&\"'" if name == "password" else None

    body = b"<a password='&quot;&#65;'><password> &lt;x&gt; </password></a>"
    after = b"<a password='&lt;&amp;\"&apos;'><password> &lt;&amp;\"' </password></a>"
    assert replace_xml(body, ask) == after
    assert told == ["", '"A', "", "<x>"]


@settings(deadline=None)
@given(st.text("<>/ab\"'=!-[]? &;\n", max_size=40))
def test_any_text_without_names_stays(text: str) -> None:
    assert replace_xml(text.encode(), masked) == text.encode()


@settings(deadline=None)
@given(st.text("ab \"'=!-[]?&;\n\u00e9", max_size=20), st.text("ab \u00e9", max_size=9))
def test_a_planted_value_is_never_left(around: str, inner: str) -> None:
    body = f"<a>{around}</a><x:password>{inner}S3CRET</x:password>{around}".encode()
    assert b"S3CRET" not in replace_xml(body, masked)


@pytest.mark.parametrize(
    ("piece", "before"),
    crossed([
     "<a>", "<", '<a b="', "<a b='<c d=\"", "<a b ", "<!--", "<![CDATA[", "<!DOCTYPE[", "</",
     '<!DOCTYPE x [<!ENTITY a "', "<a =", "<password>a", "<name>a", "<?", "<a></b>", "<a>&#", "<a",
    ], ["", "<a ", "<!DOCTYPE a ["]),
)  # fmt: skip
def test_time_is_linear(piece: str, before: str) -> None:
    def seconds(count: int, times: int) -> float:
        body = (before + piece * count).encode()
        best = 9.0
        for _ in range(times):
            start = time.process_time()
            replace_xml(body, masked)
            best = min(best, time.process_time() - start)
        return best

    # What else runs on the machine may disturb one of them. (The larger is measured first: what
    # is done once for all is not in what it is compared with.)
    assert any(seconds(8_000, times) < 8 * seconds(2_000, times) + 0.02 for times in (1, 3, 3))
