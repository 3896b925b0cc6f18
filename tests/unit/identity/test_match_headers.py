"""Headers that count because the user says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError, use_cassette
from tests.support.servers import RawServer, Request, answer, responder


def told(request: Request) -> bytes:
    return answer(200, (request.header("X-Tenant") or "none").encode())


@pytest.mark.parametrize("place", ["root", "cassette"])
@pytest.mark.parametrize("name", ["X-Tenant", "x-tenant"])
def test_a_header_counts(place: str, name: str, tmp_path: Path) -> None:
    def opened(mode: str, names: list[str]) -> Any:
        if place == "root":
            return IngestSession("s", tmp_path, mode, match_headers=names)
        return use_cassette(tmp_path / "a.json", mode, match_headers=names)

    with RawServer(responder({"/": told})) as server:

        def get(headers: dict[str, str]) -> str:
            return requests.get(server.url, headers=headers, timeout=5).text

        with opened("record", [name]):
            for tenant in ("a", "b"):
                assert get({"X-Tenant": tenant}) == tenant
            assert get({}) == "none"
        for names in ([name], []) if place == "root" else ([name],):
            # Recorded by it, it counts where nobody says so, too.
            with opened("replay", names):
                for tenant in ("b", "a", "b"):
                    assert get({"X-Tenant": tenant, "X-Other": "1"}) == tenant
                assert get({}) == "none"
        with pytest.raises(ReplayMissError), opened("replay", [name]):
            get({"X-Tenant": "c"})
