"""Every place that HTTP has for a secret: requests that hold one, and the answers they get."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import urllib.request
import xmlrpc.client
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import brotli
import requests

from mxm_dataio import IngestSession, register, unregister
from tests.support.servers import Request, answer

SOURCE = "planted"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Bed:
    """Where one secret is planted.

    Attributes:
        secret: as it is; ``token``: as a header or a cookie can carry it.
        url: of the server; ``dead``: where nothing listens; ``via``: of a proxy.
        turn: a number that counts up, for places that have a name or form for each.
    """

    web: requests.Session
    ingest: IngestSession
    secret: str
    url: str
    via: str
    turn: int = 0
    dead: str = "http://127.0.0.1:1"

    @property
    def token(self) -> str:
        """The secret as a header or a cookie can carry it."""
        return quote(self.secret, safe="") if '"' in self.secret else self.secret

    def spread(self) -> None:
        """Have the secret, which is known by now, in every other place."""
        secret, url, web = self.secret, self.url, self.web
        web.get(f"{url}/path/{quote(secret, safe='')}/end", params={"unknown": secret})
        web.post(f"{url}/echo", data={"middleware": secret, "note": f"it is {secret}!"})
        web.post(f"{url}/echo", json={"deep": [{"unheard": f"<{secret}>"}]})
        web.post(f"{url}/echo", data=f"<a b='x'>{html.escape(secret)}</a>".encode(),
                 headers={"Content-Type": "text/xml"})  # fmt: skip
        web.post(f"{url}/echo", files={"file": f"one\n{secret}\ntwo".encode()})
        web.post(f"{url}/echo", data=iter([b"a ", secret.encode(), b" b"]))
        web.post(f"{url}/echo", data=json.dumps({"x": secret}).encode("utf-16"),
                 headers={"Content-Type": "application/json"})  # fmt: skip
        held = base64.b64encode(f"someone:{secret}".encode()).decode()
        web.get(f"{url}/echo", headers={"X-Unknown": self.token, "X-Held": held})
        web.get(f"{url}/header", headers={"X-Say": self.token})
        for coding in ("identity", "gzip", "deflate"):
            web.post(f"{url}/echo?coding={coding}", data=f"[{secret}]".encode())


def bearer(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", headers={"Authorization": f"Bearer {bed.token}"})


def basic(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", auth=("someone", bed.secret.encode()))


def api_key(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", headers={"X-API-Key": bed.token})


def cookie(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", cookies={"sessionid": bed.token})
    bed.web.cookies.clear()


def set_cookie(bed: Bed) -> None:
    # Used before the body that came with it was read.
    with bed.web.get(f"{bed.url}/cookie", params={"token": bed.token}, stream=True) as got:
        csrf = got.cookies["csrftoken"]
        bed.web.post(f"{bed.url}/echo", data={"middleware": csrf}, headers={"X-Form": csrf})
    bed.web.cookies.clear()


def userinfo(bed: Bed) -> None:
    host = bed.url.removeprefix("http://")
    bed.web.get(f"http://someone:{quote(bed.secret, safe='')}@{host}/echo")


def query(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/echo", params={"api_key": bed.secret})
    url = f"{bed.url}/echo?{urlencode({'api_key': bed.secret})}#access_token={quote(bed.secret)}"
    bed.web.get(f"{bed.url}/echo", headers={"Referer": url})


def form(bed: Bed) -> None:
    bed.web.post(f"{bed.url}/echo", data={"password": bed.secret, "again": bed.secret})


def deep_json(bed: Bed) -> None:
    bed.web.post(f"{bed.url}/echo", json={"a": [{"client_secret": bed.secret}], "b": bed.secret})


def multipart(bed: Bed) -> None:
    bed.web.post(f"{bed.url}/echo", files={"f": b"1"}, data={"token": bed.secret})


def signed(bed: Bed) -> None:
    for name in ("X-Amz-Security-Token", "X-Amz-Signature", "X-Goog-Signature", "sig"):
        bed.web.get(f"{bed.url}/echo?{urlencode({'part': 1, name: bed.secret})}")


def token_answer(bed: Bed) -> None:
    for coding in ("identity", "gzip", "deflate"):
        say = {
            "access_token": bed.secret,
            "token_type": "Bearer",
            "nested": {"id_token": bed.secret},
        }
        got = bed.web.post(f"{bed.url}/token?coding={coding}", json={"secret": json.dumps(say)})
        assert got.json()["access_token"] == bed.secret, "the program gets what came"


def redirect(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/away", params={"token": bed.secret})


def failure(bed: Bed) -> None:
    for url in (f"{bed.dead}/?{urlencode({'token': bed.secret})}",
                f"{bed.url}/cut?{urlencode({'token': bed.secret})}",
                f"{bed.url}/cut/{quote(bed.secret, safe='')}"):  # fmt: skip
        with suppress(requests.RequestException):
            bed.web.get(url, headers={"X-API-Key": bed.token})
    # Tried twice.
    bed.web.get(f"{bed.url}/busy?{urlencode({'apikey': bed.secret})}")


def proxied(bed: Bed) -> None:
    via = bed.via.replace("//", f"//someone:{quote(bed.secret, safe='')}@")
    bed.web.get("http://example.invalid/a", proxies={"http": via})


def stream(bed: Bed) -> None:
    body = json.dumps({"token": bed.secret, "pad": "x" * 300_000}).encode()
    kinds = {"Content-Type": "application/json"}
    bed.web.post(f"{bed.url}/sink", data=io.BytesIO(body), headers=kinds)
    bed.web.post(f"{bed.url}/sink", data=iter([bed.secret.encode(), b"x" * 300_000]))


def trailer(bed: Bed) -> None:
    bed.web.get(f"{bed.url}/trailer", params={"token": bed.token}, headers={"X-Say": bed.token})


def asked(bed: Bed) -> None:
    for data in (None, {"password": bed.secret}):
        bed.ingest.request(f"{bed.url}/echo", {"token": bed.secret}, method="POST", data=data)
    with suppress(Exception):
        bed.ingest.request(f"{bed.dead}/", {"token": bed.secret})


class _Fetcher:
    def fetch(self, request: Any) -> bytes:
        if "fail" in request.endpoint:
            raise OSError(f"no answer for {request.params['token']}")
        return f"it was {request.params['token']}".encode()


def fetcher(bed: Bed) -> None:
    register(SOURCE, _Fetcher())
    try:
        bed.ingest.request("name", {"token": bed.secret})
        with suppress(Exception):
            bed.ingest.request("fail", {"token": bed.secret})
    finally:
        unregister(SOURCE)


def standard_library(bed: Bed) -> None:
    url = f"{bed.url}/echo?{urlencode({'access_key': bed.secret})}"
    fields = {"X-Auth-Token": bed.token, "Cookie": f"sessionid={bed.token}"}
    given = urllib.request.Request(url, json.dumps({"apikey": bed.secret}).encode(), fields)
    with urllib.request.build_opener().open(given, timeout=10) as got:
        got.read()


def oauth_header(bed: Bed) -> None:
    value = f'OAuth realm="x", oauth_token="{quote(bed.secret, safe="")}", oauth_version="1.0"'
    bed.web.get(f"{bed.url}/echo", headers={"Authorization": value})


def by_its_words(bed: Bed) -> None:
    match bed.turn % 5:
        case 0:
            bed.web.get(f"{bed.url}/echo", params={"user[new_password]": bed.secret})
        case 1:
            bed.web.get(f"{bed.url}/echo", headers={"X-Some-Api-Key": bed.token})
        case 2:
            bed.web.post(f"{bed.url}/echo", data={"refreshToken": bed.secret})
        case 3:
            bed.web.post(f"{bed.url}/echo", json={"a": {"clientSecret": bed.secret}})
        case _:
            bed.web.post(f"{bed.url}/echo", files={"f": b"1"}, data={"MY_API_KEY": bed.secret})


def soap(bed: Bed) -> None:
    held = html.escape(bed.secret)
    element = (
        f'<wsse:Password Type="#PasswordText">{held}</wsse:Password>',
        f"<m:sessionToken>{held}</m:sessionToken>",
        f'<login user="me" password="{held}"/>',
        f"<password><![CDATA[{bed.secret}]]></password>",
    )[bed.turn % 4]
    text = (
        "<?xml version='1.0' encoding='utf-8'?><s:Envelope xmlns:s='http://s' xmlns:m='urn:m' "
        f"xmlns:wsse='http://wsse'><s:Header>{element}</s:Header><s:Body/></s:Envelope>"
    )
    kind = ("text/xml; charset=utf-8", "application/soap+xml")[bed.turn % 2]
    bed.web.post(f"{bed.url}/sink", data=text.encode(), headers={"Content-Type": kind})


def xml_rpc(bed: Bed) -> None:
    with xmlrpc.client.ServerProxy(f"{bed.url}/rpc") as server:
        assert server.log_in({"user": "me", "password": bed.secret}) == "fine"


def _multipart(bed: Bed, kind: str, *parts: str) -> None:
    end = "\n" if bed.turn % 2 else "\r\n"
    text = "".join(f"--b{bed.turn}{end}{part}{end}".replace("\r\n", end) for part in parts)
    bed.web.post(f"{bed.url}/sink", data=f"{text}--b{bed.turn}--{end}".encode(),
                 headers={"Content-Type": f"multipart/{kind}; boundary=b{bed.turn}"})  # fmt: skip


def related(bed: Bed) -> None:
    said = json.dumps({"name": "a.txt", "accessKey": "none", "password": bed.secret})
    _multipart(bed, "related", f"Content-Type: application/json\r\n\r\n{said}",
               "Content-Type: text/plain\r\n\r\ncontent")  # fmt: skip


def mixed(bed: Bed) -> None:
    inner = f"POST /a HTTP/1.1\r\nContent-Type: {FORM}\r\n\r\n{urlencode({'token': bed.secret})}"
    if bed.turn % 3 == 1:
        inner = f"GET /a?{urlencode({'token': bed.secret})} HTTP/1.1\r\n\r\n"
    elif bed.turn % 3 == 2:
        inner = f"GET /a HTTP/1.1\r\nAuthorization: Bearer {bed.token}\r\n\r\n"
    _multipart(bed, "mixed", f"Content-Type: application/http\r\n\r\n{inner}")


def coded_form(bed: Bed) -> None:
    code = (gzip.compress, zlib.compress, brotli.compress)[bed.turn % 3]
    fields = {"Content-Type": FORM, "Content-Encoding": ("gzip", "deflate", "br")[bed.turn % 3]}
    data = code(urlencode({"password": bed.secret}).encode())
    bed.web.post(f"{bed.url}/sink", data=data, headers=fields)


def coded_json(bed: Bed) -> None:
    code = (brotli.compress, gzip.compress)[bed.turn % 2]
    fields = {"Content-Type": "application/json", "Content-Encoding": ("br", "gzip")[bed.turn % 2]}
    data = code(json.dumps([{"password": bed.secret}]).encode())
    bed.web.post(f"{bed.url}/sink", data=data, headers=fields)


def lines_of_json(bed: Bed) -> None:
    text = "\n".join(json.dumps(one) for one in ({"index": {}}, {"password": bed.secret}, {}))
    fields = {"Content-Type": ("application/x-ndjson", "application/json")[bed.turn % 2]}
    bed.web.post(f"{bed.url}/sink", data=f"{text}\n".encode(), headers=fields)


def untold(bed: Bed) -> None:
    said = json.dumps({"password": bed.secret})
    match bed.turn % 4:
        case 0:
            bed.web.post(f"{bed.url}/sink", data=said)
        case 1:
            bed.web.post(f"{bed.url}/sink", data=said.encode(), headers={"Content-Type": FORM})
        case 2:
            bed.web.post(f"{bed.url}/sink", data={"payload": said})
        case _:
            bed.web.post(f"{bed.url}/sink", data=urlencode({"password": bed.secret}))


def log_in_answer(bed: Bed) -> None:
    name = ("SecretAccessKey", "sessionToken", "password", "accessToken")[bed.turn % 4]
    say = {"status": "ok", "user": {"id": 7, name: bed.secret}}
    coding = ("identity", "gzip", "deflate", "br")[bed.turn // 4 % 4]
    got = bed.web.post(f"{bed.url}/token?coding={coding}", json={"secret": json.dumps(say)})
    assert got.json()["user"][name] == bed.secret, "the program gets what came"


def xml_answer(bed: Bed) -> None:
    text = f"<r><Credentials><SecretAccessKey>{html.escape(bed.secret)}</SecretAccessKey>"
    text += "<Expiration>2030-01-01</Expiration></Credentials></r>"
    bed.web.post(f"{bed.url}/xml", json={"secret": json.dumps(text)})


def signed_token(bed: Bed) -> None:
    parts = [{"alg": "HS256"}, {"sub": "me", "exp": 4102444800}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    text = ".".join([*(one.rstrip("=") for one in texts), bed.secret])
    bed.web.post(f"{bed.url}/token?coding=identity", json={"secret": json.dumps({"token": text})})
    bed.web.get(f"{bed.url}/echo", headers={"Authorization": f"Bearer {text}"})


def odd_failure(bed: Bed) -> None:
    given: dict[str, str] = {}
    url = f"{bed.dead}/"
    match bed.turn % 4:
        case 0:
            given["X-API-Key"] = f"\u0410{bed.secret}"
        case 1:
            given["Authorization"] = f"Bearer {bed.secret}\u0410"
        case 2:
            url = f"{bed.dead}/?q=it's&{urlencode({'token': bed.secret})}"
        case _:
            url = f"{bed.dead}/?q=f(x)&{urlencode({'new_password': bed.secret})}"
    with suppress(requests.RequestException, UnicodeEncodeError):
        bed.web.get(url, headers=given)


PLACES: tuple[Callable[[Bed], None], ...] = (
    bearer, basic, api_key, cookie, set_cookie, userinfo, query, form, deep_json, multipart,
    signed, token_answer, redirect, failure, proxied, stream, trailer, asked, fetcher,
    oauth_header, standard_library, by_its_words, soap, xml_rpc, related, mixed, coded_form,
    coded_json, lines_of_json, untold, log_in_answer, xml_answer, signed_token, odd_failure,
)  # fmt: skip
# They go through ``http.client``, which a mounted session does not see: nothing says what is
# secret there.
UNMOUNTED = (standard_library, xml_rpc)
# A token's signature is what is secret of it, and has but such letters; what has a blank in it is
# taken for a sentence, in an answer.
KIND_OF = {signed_token: "url-safe", log_in_answer: "base64", xml_answer: "base64"}


def serve(connection: Any) -> None:
    """Answer as the places want it."""
    busy = True
    while (request := connection.read_request()) is not None:
        if request.path.startswith("/cut"):
            body = f"partly {request.target} {request.header('X-API-Key')}".encode()
            fields = [("Content-Length", "5000"), ("Content-Type", "text/plain")]
            connection.send(answer(200, body, headers=fields))
            return
        if request.path == "/busy" and busy:
            busy = False
            connection.send(answer(503, request.target.encode(), headers=[("Retry-After", "0")]))
            continue
        connection.send(_answer(request))


def _answer(request: Request) -> bytes:
    say = request.header("X-Say") or ""
    asked_for = request.target.partition("?")[2].replace("token=", "")
    match request.path:
        case "/cookie":
            page = f"<input name=csrf value='{asked_for}'>".encode()
            cookie = ("Set-Cookie", f"csrftoken={asked_for}; Path=/")
            return answer(200, page, headers=[cookie, ("Content-Type", "text/html")])
        case "/header":
            fields = [("ETag", f'"{say}"'), ("Link", f"<http://h/{say}>; rel=next")]
            return answer(200, headers=fields, reason=f"For {say}")
        case "/token":
            kind = ("Content-Type", "application/json;charset=UTF-8")
            return _coded(request, json.loads(json.loads(request.body)["secret"]), kind)
        case "/away":
            there = f"/echo?access_token={asked_for}#id_token={asked_for}"
            return answer(302, f"see {there}".encode(), headers=[("Location", there)])
        case "/trailer":
            text = f"of {say}"
            fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")]
            chunk = f"{len(text):x};a={say}\r\n{text}\r\n"
            trailers = f"X-Was: {say}\r\nSet-Cookie: a={say}\r\n"
            return answer(200, headers=fields) + f"{chunk}0\r\n{trailers}\r\n".encode()
        case "/sink":
            return answer(200)
        case "/rpc":
            said = xmlrpc.client.dumps(("fine",), methodresponse=True).encode()
            return answer(200, said, headers=[("Content-Type", "text/xml")])
        case "/xml":
            text = json.loads(json.loads(request.body)["secret"])
            return answer(200, text.encode(), headers=[("Content-Type", "text/xml")])
    shown = " ".join([request.target, request.body.decode("latin-1"), *map(str, request.headers)])
    return _coded(request, shown, ("Content-Type", "text/plain; charset=latin-1"))


def _coded(request: Request, value: Any, kind: tuple[str, str]) -> bytes:
    body = value.encode("latin-1") if isinstance(value, str) else json.dumps(value).encode()
    coding = request.target.rpartition("coding=")[2] if "coding=" in request.target else ""
    code = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}.get(coding)
    if code is not None:
        body = code(body)
        return answer(200, body, headers=[kind, ("Content-Encoding", coding)])
    return answer(200, body, headers=[kind], chunked=[7, 30] if len(body) % 2 else None)
