"""What was measured: groups of lines, as text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .contestants import CONTESTANTS
from .ratios import Rounds, Spread

FORMAT = 1
_LOSS = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One figure.

    Attributes:
        name: of the contestant, or of what was measured.
        samples: one a round.
        target: the figure shall not be above it.
        gated: a quick run fails if it is far above.
        own: it is this project's.
        failure: why there are no samples.
    """

    name: str
    samples: tuple[float, ...] = ()
    target: float | None = None
    gated: bool = False
    own: bool = False
    failure: str = ""

    @classmethod
    def over(
        cls,
        rounds: Rounds,
        keys: Iterable[str],
        baseline: str,
        *,
        target: float | None = None,
        targets: Mapping[str, float] | None = None,
        gated: bool = True,
    ) -> list[Line]:
        """Return contestants' lines as ratios to a baseline; targets are this project's."""
        samples = {key: rounds.over(key, baseline) for key in keys}
        return cls._of(rounds, samples, target, targets, gated=gated)

    @classmethod
    def above(
        cls, rounds: Rounds, keys: Iterable[str], baseline: str, *, target: float | None = None
    ) -> list[Line]:
        """Return contestants' lines as differences from a baseline."""
        samples = {key: rounds.above(key, baseline) for key in keys if key != baseline}
        return cls._of(rounds, samples, target, None, gated=False)

    @classmethod
    def _of(
        cls,
        rounds: Rounds,
        samples: Mapping[str, tuple[float, ...]],
        target: float | None,
        targets: Mapping[str, float] | None,
        *,
        gated: bool,
    ) -> list[Line]:
        lines = []
        for key, values in samples.items():
            failure = rounds.failures.get(key, "")
            if not values and not failure:
                continue
            own = CONTESTANTS[key].own
            mine = (targets.get(key) if targets else target) if own else None
            lines.append(
                cls(
                    CONTESTANTS[key].name,
                    () if failure else values,
                    target=mine,
                    gated=gated and mine is not None,
                    own=own,
                    failure=failure,
                )
            )
        return lines

    @property
    def spread(self) -> Spread | None:
        """Median and quartiles, if anything was measured."""
        return Spread.of(self.samples) if self.samples else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` without one."""
        if self.target is None:
            return None
        return self.spread is not None and self.spread.median <= self.target

    @property
    def lost(self) -> bool:
        """Whether a quick run has to fail for it."""
        if not self.gated or self.target is None:
            return False
        # Of a median of few rounds a neighbour on the machine makes a loss.
        return self.spread is None or self.spread.low > _LOSS * self.target


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that are read together.

    Attributes:
        key: its name in the JSON file.
        title: what was measured, and against what.
        unit: ``×``, ``ms``, ``MiB`` or ``bytes``.
    """

    key: str
    title: str
    unit: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All groups of a run, and what it ran on."""

    groups: tuple[Group, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def losses(self) -> list[str]:
        """The lines for which a quick run fails."""
        return [
            f"{group.title}: {line.name}"
            for group in self.groups
            for line in group.lines
            if line.lost
        ]

    def showing(self, keys: Sequence[str]) -> Report:
        """Return it with these groups alone.

        Raises:
            ValueError: it has no such group.
        """
        held = {group.key: group for group in self.groups}
        if unknown := [key for key in keys if key not in held]:
            raise ValueError(f"no group {unknown[0]!r}; there are {', '.join(held)}")
        return Report(tuple(held[key] for key in keys), self.facts)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        document = {
            "format": FORMAT,
            "facts": dict(self.facts),
            "groups": [
                {
                    "key": group.key,
                    "title": group.title,
                    "unit": group.unit,
                    "lines": [_document(line) for line in group.lines],
                }
                for group in self.groups
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read a saved one.

        Raises:
            ValueError: it is of another format.
        """
        document = json.loads(path.read_text("utf-8"))
        if document.get("format") != FORMAT:
            raise ValueError(f"{path} has format {document.get('format')}, not {FORMAT}")
        return cls(
            tuple(
                Group(
                    group["key"],
                    group["title"],
                    group["unit"],
                    tuple(
                        Line(
                            line["name"],
                            tuple(line["samples"]),
                            target=line["target"],
                            gated=line["gated"],
                            own=line["own"],
                            failure=line["failure"],
                        )
                        for line in group["lines"]
                    ),
                )
                for group in document["groups"]
            ),
            document["facts"],
        )

    def text(self) -> str:
        """Return it to be read in a terminal."""
        parts = [_facts(self.facts)] if self.facts else []
        for group in self.groups:
            rows = [(line.name, *_cells(line, group.unit)) for line in group.lines]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            text = [group.title]
            for line, row in zip(group.lines, rows, strict=True):
                cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1])]
                cells += [
                    cell.ljust(width) for cell, width in zip(row[2:], widths[2:], strict=True)
                ]
                text.append(f"  {'  '.join(cells)}  {line.failure}".rstrip())
            parts.append("\n".join(text))
        return "\n\n".join(parts) + "\n"

    def markdown(self) -> str:
        """Return it as a table for the documentation."""
        lines = ["| | median | quartiles | target | |", "|---|---:|---|---|---|"]
        for group in self.groups:
            lines.append(f"| **{group.title}** | | | | |")
            for line in group.lines:
                name = f"**{line.name}**" if line.own else line.name
                lines.append(f"| {name} | {' | '.join(_cells(line, group.unit))} |")
        return "\n".join(lines) + "\n"


def _document(line: Line) -> dict[str, Any]:
    spread = line.spread
    return {
        "name": line.name,
        "median": spread.median if spread else None,
        "low": spread.low if spread else None,
        "high": spread.high if spread else None,
        "target": line.target,
        "met": line.met,
        "gated": line.gated,
        "own": line.own,
        "failure": line.failure,
        "samples": list(line.samples),
    }


def _cells(line: Line, unit: str) -> Sequence[str]:
    """Return median, quartiles, target, and whether it is met."""
    spread = line.spread
    target = f"≤ {figure(line.target, unit)}" if line.target is not None else ""
    verdict = {True: "met", False: "missed", None: ""}[line.met]
    if spread is None:
        return ("fails", "", target, verdict)
    alone = spread.count == 1
    quartiles = "" if alone else f"{figure(spread.low, '')}–{figure(spread.high, '')}"
    return (figure(spread.median, unit), quartiles, target, verdict)


def figure(value: float, unit: str) -> str:
    """Return a value in its unit, in three or four digits."""
    size = abs(value)
    digits = 0 if size >= 99.95 or unit == "bytes" else 1 if size >= 9.995 else 2
    text = f"{value:,.{digits}f}"
    return f"{text} {unit}".rstrip() if unit != "×" else f"{text}×"


def _facts(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in facts.items())
