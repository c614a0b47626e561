"""Chart data: from numbers to SVG coordinates. Nothing here knows about HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WIDTH, HEIGHT = 440, 176
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 16, 30
FLOOR = 1e-6
"""Probabilities below this are drawn here on the logarithmic scale."""
WORST = 1e5
"""Ranks beyond this are drawn here."""

Scale = Literal["linear", "log", "rank"]
Kind = Literal["next", "pin", "word"]


@dataclass(frozen=True)
class Values:
    """One token over the layers: `prob`, and `rank` (0 = top). `kind` says why it is drawn: next, pin or word.

    `position` is that of a pin, `word` a word as it was typed.
    """

    kind: Kind
    name: str
    prob: Sequence[float]
    rank: Sequence[int]
    position: int | None = None
    word: str = ""


@dataclass(frozen=True)
class Point:
    """One layer of a line. `layer` is the block's number; the last point is the model's own output."""

    x: float
    y: float
    layer: int
    value: float
    rank: int
    is_output: bool


@dataclass(frozen=True)
class Series:
    """One line of the chart."""

    kind: Kind
    name: str
    position: int | None
    word: str
    points: list[Point]
    line: str

    @property
    def output(self) -> Point:
        """The last row: what the model really says."""
        return self.points[-1]


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Curve:
    """Tokens over the layers, in the coordinates of a WIDTH x HEIGHT view box. The first series is the true next token."""

    scale: str
    layers: list[int]
    series: list[Series]
    area: str
    top: list[str]
    """Each layer's own favourite at the pinned position."""
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    mark: Tick | None
    selected: Tick | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    ceiling: int = TOP
    base: int = HEIGHT - BOTTOM


def curve(
    *,
    layers: Sequence[int],
    values: Sequence[Values],
    top: Sequence[str],
    scale: Scale | str = "linear",
    reading_layer: int | None = None,
    selected: int | None = None,
) -> Curve:
    """The chart at one position.

    Each of `values` and `top` (the lens's own favourite) run over `layers`, whose last entry is the model's real output;
    `reading_layer` is K, `selected` the layer that a viewer chose.
    """
    if not layers or any(not len(layers) == len(v.prob) == len(v.rank) == len(top) for v in values):
        raise ValueError(f"a curve needs one value a layer: {len(layers)} layers")
    xs = _places(len(layers))
    series = [_series(v, layers, xs, scale) for v in values]
    base = HEIGHT - BOTTOM
    marks = {layer: Tick(x, str(layer)) for layer, x in zip(layers, xs, strict=True)}
    return Curve(
        scale=scale,
        layers=list(layers),
        series=series,
        area=f"{series[0].line} L{xs[-1]},{base} L{xs[0]},{base} Z" if scale == "linear" else "",
        top=list(top),
        x_ticks=_layer_ticks(layers, xs),
        y_ticks=_value_ticks(scale),
        mark=marks.get(reading_layer) if reading_layer is not None else None,
        selected=marks.get(selected) if selected is not None else None,
    )


def _places(count: int) -> list[float]:
    last = count - 1
    return [round(LEFT + (WIDTH - LEFT - RIGHT) * (i / last if last else 0.0), 1) for i in range(count)]


def _series(values: Values, layers: Sequence[int], xs: Sequence[float], scale: str) -> Series:
    last = len(layers) - 1
    points = [
        Point(x, round(_y(p, rank, scale), 1), layer, p, rank, i == last)
        for i, (x, layer, p, rank) in enumerate(zip(xs, layers, values.prob, values.rank, strict=True))
    ]
    line = "M" + " L".join(f"{p.x},{p.y}" for p in points)
    return Series(values.kind, values.name, values.position, values.word, points, line)


def _y(prob: float, rank: int, scale: str) -> float:
    match scale:
        case "log":
            share = 1 - math.log10(max(prob, FLOOR)) / math.log10(FLOOR)
        case "rank":
            share = 1 - math.log10(min(rank + 1, WORST)) / math.log10(WORST)
        case _:
            share = prob
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, share)))


def _value_ticks(scale: str) -> list[Tick]:
    if scale == "rank":
        found = [(f"{10**n:,}", _y(0, 10**n - 1, scale)) for n in range(6)]
    elif scale == "log":
        labels = {1e0: "100%", 1e-2: "1%", 1e-4: "0.01%", 1e-6: "0.0001%"}
        found = [(label, _y(p, 0, scale)) for p, label in labels.items()]
    else:
        found = [(f"{p:.0%}", _y(p, 0, scale)) for p in (0.0, 0.5, 1.0)]
    return [Tick(round(at, 1), label) for label, at in found]


def _layer_ticks(layers: Sequence[int], xs: Sequence[float]) -> list[Tick]:
    """About six numbers along the bottom, never crowding the last point's own label."""
    step = max(1, round((len(xs) - 1) / 6))
    places = list(zip(xs, layers, strict=True))
    return [Tick(x, str(layer)) for x, layer in places[:-1:step] if xs[-1] - x > 30]
