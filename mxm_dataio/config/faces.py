"""The words of the face by which a program's calls are captured, for messages that say what to do.

What is typed there, as it is typed: a keyword of Python's, an option of ``run`` or of pytest, a
marker, a variable of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..process import PREFIX

_NONE: Mapping[str, str] = MappingProxyType({})


class Face(NamedTuple):
    """One way to have calls captured.

    Attributes:
        options: setting → what a shell takes for it, with ``{}`` for its value.
        python: what is typed for any other setting; empty: a variable of the environment.
        modes: word of a root's → the face's.
        repeats: an option stands for each value of a list; else commas are between them.
        reason: why the mode is what it is, where nobody has said it, and what changes it.
    """

    options: Mapping[str, str] = _NONE
    python: str = ""
    modes: Mapping[str, str] = _NONE
    repeats: bool = False
    reason: str = ""

    def says(self, name: str, value: object) -> str:
        """Return what is typed to give a setting a value."""
        value = self.modes.get(str(value), value) if name == "mode" else value
        if name not in self.options and self.python:
            return self.python.format(name=name, value=value)
        import shlex  # for an error alone

        typed = self.options.get(name, f"{PREFIX}{name.upper()}={{}}")
        return " ".join(typed.format(shlex.quote(word)) for word in self._words(value))

    def _words(self, value: object) -> list[str]:
        if not isinstance(value, (list, tuple)):
            return ["1" if value is True else "0" if value is False else str(value)]
        words = [str(one) for one in value]
        if any("," in word for word in words):
            import json  # for an error alone

            return [json.dumps(words)]
        return words if self.repeats else [",".join(words)]


# A cassette is recorded anew, and added to, by other words than a root.
_CASSETTE_MODES = {"record": "rewrite", "auto": "new_episodes"}
_RUN_OPTIONS = {
    "ignore_params": "--ignore-param {}", "allowed_hosts": "--allow-host {}", "root": "--root {}",
    "mode": "--mode {}", "source": "--source {}", "as_of": "--as-of {}", "ttl": "--ttl {}",
    "stale_if_error": "--stale-if-error {}", "match_headers": "--match-header {}",
    "session": "--session {}", "reuse": "--reuse {}", "max_body": "--max-body {}",
    "durability": "--durability {}", "view": "--view {}", "match_host": "--no-match-host",
    "ignore_hosts": "--ignore-host {}", "ignore_body_of": "--ignore-body-of {}",
    "push": "--push {}",
}  # fmt: skip
_TEST_OPTIONS = {"mode": "--dataio-mode={}", "allowed_hosts": "--dataio-allowed-hosts={}"}

PYTHON = Face(python="{name}={value!r}")
CASSETTE = Face(python="{name}={value!r}", modes=_CASSETTE_MODES)
PYTEST = Face(_TEST_OPTIONS, "@pytest.mark.dataio({name}={value!r})", _CASSETTE_MODES)
RUN = Face(_RUN_OPTIONS, repeats=True)
ENVIRONMENT = Face()
