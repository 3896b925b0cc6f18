"""What a captured process hands to its children."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mxm_dataio.config import settings as config
from mxm_dataio.errors import ConfigError
from mxm_dataio.run.handoff import Link, settings_json

LINK = Link(
    parent_id="p", root_id="r", pid=7, source="zwölf", dated="2025-10-07", joins=True,
    as_of=None, session="s", settings={"root": "/x", "ttl": 1.5, "sources": {"*": "a"}},
)  # fmt: skip


def test_it_comes_back_as_it_was() -> None:
    assert Link.parse(LINK.text()) == LINK


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "{", "null", '{"version": 2}', '{"version": 1}',
        LINK.text().replace('"pid": 7', '"pid": "7"'),
        LINK.text().replace('"joins"', '"joyns"'),
        json.dumps({**json.loads(LINK.text()), "settings": []}),
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="MXM_DATAIO_AUTO holds no link"):
        Link.parse(text)


def test_settings_are_what_they_were_on_the_other_side(tmp_path: Path) -> None:
    given = {
        "root": tmp_path, "mode": "replay", "ttl": "3600", "exhausted": "error", "strict": "yes",
        "ignore_params": "a,b", "max_body": "7", "sources": "*.x=y", "allowed_hosts": ["unix"],
        "watch": True,
    }  # fmt: skip
    settings = config.load(given, {})
    text = Link("p", "r", 1, "s", "d", settings=settings_json(settings)).text()
    assert config.load(dict(Link.parse(text).settings), {}) == settings
    plain = config.load({}, {})
    assert "ttl" not in settings_json(plain)
    assert config.load(settings_json(plain), {}) == plain
