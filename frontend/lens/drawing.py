"""The layers' curve as a plain drawing, for a page without scripts: from a Curve's numbers to places in an SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frontend import formatting
from frontend.lens.charts import Curve, Series

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 22, 26
"""The margins."""
FLOOR = 1e-6
"""Probabilities below this are drawn here on the logarithmic scale."""
WORST = 1e5
"""Ranks beyond this are drawn here."""


@dataclass(frozen=True)
class Tick:
    """A number beside an axis, `at` so many units along it."""

    at: float
    label: str


@dataclass(frozen=True)
class Drawing:
    """Lines as `x,y x,y …`, the first one on top; where layers are marked; the axes."""

    lines: Sequence[str]
    read: float | None
    selected: float | None
    across: Sequence[Tick]
    up: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Scale:
    """`height` gives 0 at the bottom to 1 at the top, for a probability and a rank; `ticks` are (height, label)."""

    height: Callable[[float, int], float]
    ticks: Sequence[tuple[float, str]]


def _log(prob: float) -> float:
    return 1 - math.log10(max(prob, FLOOR)) / math.log10(FLOOR)


def _rank(rank: float) -> float:
    return 1 - math.log10(min(rank, WORST)) / math.log10(WORST)


SCALES = {
    "linear": Scale(lambda prob, _: prob, [(p, formatting.percent(p)) for p in (0, 0.5, 1)]),
    "log": Scale(
        lambda prob, _: _log(prob), [(_log(p), formatting.small(p)) for p in (FLOOR, 1e-4, 1e-2, 1)]
    ),
    "rank": Scale(lambda _, rank: _rank(rank + 1), [(_rank(10.0**n), f"{10**n:,}") for n in range(6)]),
}


def drawing(curve: Curve) -> Drawing:
    """A curve's lines, marks and axes."""
    scale, last = SCALES[curve.scale], max(1, len(curve.layers) - 1)

    def across(row: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * row / last, 1)

    def up(height: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * height, 1)

    def line(series: Series) -> str:
        places = enumerate(zip(series.prob, series.rank, strict=True))
        return " ".join(f"{across(row)},{up(scale.height(prob, rank))}" for row, (prob, rank) in places)

    def mark(layer: int | None) -> float | None:
        return across(curve.layers.index(layer)) if layer in curve.layers else None

    end = len(curve.layers) - 1
    step = max(1, round(end / 6))
    rows = [row for row in range(0, end, step) if end - row > end / 12]  # the last one's word needs its room
    return Drawing(
        lines=[line(series) for series in curve.series],
        read=mark(curve.read),
        selected=mark(curve.selected),
        across=[*(Tick(across(row), str(curve.layers[row])) for row in rows), Tick(across(end), "output")],
        up=[Tick(up(height), label) for height, label in scale.ticks],
    )
