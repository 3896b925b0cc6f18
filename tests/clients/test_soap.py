"""zeep: envelopes with a digest, a nonce, a clock and a message's id, each new in each call."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio import Call
from tests.clients.harness import WHY, files_with, record_then_replay_by
from tests.support.servers import RawServer, Request, answer, responder

zeep = pytest.importorskip("zeep", reason=WHY)
from zeep.wsa import WsAddressingPlugin  # noqa: E402
from zeep.wsse.username import UsernameToken  # noqa: E402

PASSWORD = "example-soap-password"
WSDL = """<?xml version="1.0"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:prices"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
    targetNamespace="urn:prices">
  <wsdl:types><xsd:schema targetNamespace="urn:prices" elementFormDefault="qualified">
    <xsd:element name="Price"><xsd:complexType><xsd:sequence>
      <xsd:element name="symbol" type="xsd:string"/>
      <xsd:element name="runId" type="xsd:string" minOccurs="0"/>
      <xsd:element name="asOf" type="xsd:dateTime" minOccurs="0"/>
    </xsd:sequence></xsd:complexType></xsd:element>
    <xsd:element name="PriceResponse"><xsd:complexType><xsd:sequence>
      <xsd:element name="close" type="xsd:decimal"/>
    </xsd:sequence></xsd:complexType></xsd:element>
  </xsd:schema></wsdl:types>
  <wsdl:message name="In"><wsdl:part name="body" element="t:Price"/></wsdl:message>
  <wsdl:message name="Out"><wsdl:part name="body" element="t:PriceResponse"/></wsdl:message>
  <wsdl:portType name="Prices"><wsdl:operation name="Price">
    <wsdl:input message="t:In"/><wsdl:output message="t:Out"/>
  </wsdl:operation></wsdl:portType>
  <wsdl:binding name="Bound" type="t:Prices">
    <soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="Price"><soap:operation soapAction="urn:prices/Price"/>
      <wsdl:input><soap:body use="literal"/></wsdl:input>
      <wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="Service"><wsdl:port name="Port" binding="t:Bound">
    <soap:address location="{url}/prices"/>
  </wsdl:port></wsdl:service>
</wsdl:definitions>"""
ANSWER = """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<PriceResponse xmlns="urn:prices"><close>{}</close></PriceResponse></s:Body></s:Envelope>"""
XML = [("Content-Type", "text/xml; charset=utf-8")]


def described(request: Request) -> bytes:
    url = f"http://{request.header('Host')}"
    return answer(200, WSDL.replace("{url}", url).encode(), headers=XML)


def priced(request: Request) -> bytes:
    symbol = re.findall(rb"symbol>(\w+)<", request.body)[0]
    return answer(200, ANSWER.format(70 + len(symbol)).encode(), headers=XML)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/wsdl": described, "/prices": priced})) as running:
        yield running


def prices(url: str, *symbols: str, digest: bool = True, run: bool = False) -> list[float]:
    token = UsernameToken("alfa", PASSWORD, use_digest=digest)
    with zeep.Client(f"{url}/wsdl", wsse=token, plugins=[WsAddressingPlugin()]) as client:
        now = {"runId": str(uuid.uuid4()), "asOf": datetime.datetime.now()} if run else {}
        return [float(client.service.Price(symbol, **now)) for symbol in symbols]


@pytest.mark.parametrize("digest", [True, False])
def test_what_the_standards_draw_anew_counts_for_nothing(
    server: RawServer, tmp_path: Path, digest: bool
) -> None:
    """WS-Security's digest, nonce and clock, and WS-Addressing's id: no rule is needed."""

    def work() -> Any:
        return prices(server.url, "A", "BETA", "A", digest=digest)

    assert record_then_replay_by(tmp_path, server, work) == [71, 74, 71]
    assert files_with(tmp_path, PASSWORD) == []


def as_any_run(call: Call, names: str = "runId|asOf") -> Call:
    return call.replace(xml=re.sub(f"({names})>[^<]+<", r"\1><", call.xml)) if call.xml else call


def as_any_time(call: Call) -> Call:
    return as_any_run(call, "asOf")


@pytest.mark.parametrize(
    "rules",
    [
        {"ignore_params": ["xml:RunID", "xml:asOf"]},
        {"ignore_params": ["runid", "asof"]},
        {"view": lambda call: call.without("xml:runId", "xml:asOf")},
        {"view": as_any_run},
        {"view": as_any_time, "ignore_params": ["xml:runId"]},
        {"view": lambda call: as_any_time(call.without("xml:runId"))},
        {"view": lambda call: as_any_time(call).without("runid")},
        # In the order in which they were asked.
        {"ignore_body_of": ["*/prices"]},
    ],
)
def test_a_run_of_its_own_in_the_body(
    server: RawServer, tmp_path: Path, rules: dict[str, Any]
) -> None:
    def work() -> Any:
        return prices(server.url, "A", "BETA", "GAMMA", run=True)

    assert record_then_replay_by(tmp_path, server, work, **rules) == [71, 74, 75]


def test_a_service_that_moved(server: RawServer, tmp_path: Path) -> None:
    def moved() -> None:
        urls.append("http://elsewhere.test:99")

    urls = [server.url]
    record_then_replay_by(
        tmp_path, server, lambda: prices(urls[-1], "BETA"), later=moved, match_host=False
    )
