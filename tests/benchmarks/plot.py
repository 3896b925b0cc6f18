"""A picture of a report: bars for each group, the target marked."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from .report import Group, Line, Report, figure

# Okabe and Ito's colours, told apart by the colour-blind too.
_OWN, _OTHER, _TARGET = "#0072B2", "#B8B8B8", "#D55E00"
_COLUMNS = 2
_WIDTH, _BAR, _HEAD = 8.0, 0.30, 0.95
_LEGEND = "bars: medians, blue this project; black: quartiles; orange: targets; axes logarithmic"
# Nothing is drawn shorter: the axes are logarithmic, and a difference may be nothing.
_LEAST = {"×": 0.5, "µs": 5.0, "ms": 0.05, "MiB": 0.1, "bytes": 10.0}


def plot(report: Report, path: Path) -> None:
    """Draw a report as a PNG file.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise ImportError("a plot needs matplotlib: pip install -e '.[bench]'") from exc

    groups = [group for group in report.groups if group.lines]
    rows = [groups[at : at + _COLUMNS] for at in range(0, len(groups), _COLUMNS)]
    heights = [_BAR * max(len(group.lines) for group in row) + _HEAD for row in rows]
    columns = min(_COLUMNS, max(len(groups), 1))
    drawing = Figure(figsize=(_WIDTH * columns, max(sum(heights), 2.0)), layout="constrained")
    axes = drawing.subplots(
        max(len(rows), 1), columns, squeeze=False, gridspec_kw={"height_ratios": heights or [1.0]}
    )
    places = iter(axes.flat)
    for group in groups:
        _draw(next(places), group)
    for place in places:
        place.set_visible(False)
    drawing.supxlabel(_LEGEND, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=110, facecolor="white")


def _draw(axis: Any, group: Group) -> None:
    least = _LEAST[group.unit]
    lines = group.lines
    ends = [least]
    for at, line in enumerate(lines):
        spread = line.spread
        if spread is None:
            axis.text(least * 1.05, at, "fails", va="center", fontsize=9, style="italic")
            continue
        median = max(spread.median, least)
        low, high = max(spread.low, least), max(spread.high, least)
        axis.barh(at, median - least, left=least, height=0.66, color=_OWN if line.own else _OTHER)
        if spread.count > 1:
            axis.plot([low, high], [at, at], color="black", linewidth=1.2, solid_capstyle="butt")
        end = max(median, high, line.target or least)
        ends.append(end)
        axis.annotate(
            _label(line, group.unit),
            (end, at),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        if line.target is not None:
            axis.plot([line.target] * 2, [at - 0.45, at + 0.45], color=_TARGET, linewidth=2.5)
    axis.set_xscale("log")
    # Room for the labels, whatever the span of the bars.
    span = max(ends) / least
    axis.set_xlim(least, least * span**1.75)
    axis.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=9)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_title(_wrapped(group.title), loc="left", fontsize=10, fontweight="bold")
    axis.tick_params(axis="x", labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(lambda value, _at: f"{value:g}")
    axis.xaxis.set_minor_formatter(lambda _value, _at: "")
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _wrapped(title: str) -> str:
    return "\n".join(textwrap.wrap(title, 62))


def _label(line: Line, unit: str) -> str:
    spread = line.spread
    assert spread is not None
    text = figure(spread.median, unit)
    return text if line.target is None else f"{text}  (target ≤ {figure(line.target, unit)})"
