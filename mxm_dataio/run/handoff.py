"""What a captured process hands to the processes that it starts, in their environment.

``MXM_DATAIO_AUTO`` switches capture on in each Python process that finds it; see
:mod:`mxm_dataio.run.startup`. A user sets it to ``1``: the process begins a session of its own,
with the settings and the ``MXM_DATAIO_SOURCE``, ``MXM_DATAIO_AS_OF`` and ``MXM_DATAIO_SESSION`` of
its environment. For its children the session puts a link there, which is JSON: whose children they
are, and the settings in force, since a child may have another folder to be relative to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from ..config.archive_urls import said
from ..config.functions import NamedFunction
from ..config.settings import Settings
from ..errors import ConfigError
from ..process import AUTO, VERSION, link_text


@dataclass(frozen=True, slots=True)
class Link:
    """What a process knows of the one that started it.

    Attributes:
        parent_id: the session it is a child of; with ``joins`` the session that it is.
        root_id: of the outermost.
        pid: whose place it may be in: that of the process it was made for or by.
        joins: the process ``pid`` records in the session ``parent_id``, which another has begun and
            will end. Without it, a process of this number has taken its parent's place
            (``os.exec…``).
        ends: that process is to end its parent's session.
        attended: a run waits for all of them, and tells what was wrong.
        dated: the as-of of what is recorded.
        source, as_of, session: the arguments of an :class:`~mxm_dataio.IngestSession`.
        settings: the settings in force, as JSON has them.
        program: what the process ``pid`` runs, as far as it is known.
    """

    parent_id: str
    root_id: str
    pid: int
    source: str
    dated: str
    joins: bool = False
    ends: bool = False
    attended: bool = False
    as_of: str | None = None
    session: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    program: str = ""

    def text(self) -> str:
        """Return it as it stands in the environment."""
        return link_text({"version": VERSION, **asdict(self)})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the link of a text.

        Raises:
            ConfigError: it is none, or another release's.
        """
        try:
            data = json.loads(text)
            if data.pop("version") != VERSION:
                raise ValueError("it is another release's")
            link = cls(**data)
            if not isinstance(link.pid, int) or not isinstance(link.settings, dict):
                raise TypeError("a value of another kind")
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ConfigError(
                f"{AUTO} holds no link of mxm-dataio's ({exc}): set it to 1, or leave it out"
            ) from exc
        return link


def settings_json(settings: Settings) -> dict[str, Any]:
    """Return settings as arguments that JSON can hold; what is not set is left out."""
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    values["root"] = said(settings.root)
    values["sources"] = dict(settings.sources)
    values["view"] = _name_of(settings.view)
    return {name: value for name, value in values.items() if value is not None}


def _name_of(view: Any) -> Any:
    """Return what names a view, or those by source, in another process."""
    if isinstance(view, Mapping):
        return {source: _name_of(one) for source, one in view.items()}
    return view.given if isinstance(view, NamedFunction) else None
