"""Chart data: from numbers to SVG coordinates. Nothing here knows about HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 176
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 16, 30


@dataclass(frozen=True)
class Point:
    """One layer of the curve. `layer` is the block's number; the last point is the model's own output."""

    x: float
    y: float
    layer: int
    value: float
    rank: int
    top: str
    is_output: bool


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Curve:
    """P(token that came next) over the layers, in the coordinates of a WIDTH x HEIGHT view box."""

    target: str
    points: list[Point]
    line: str
    area: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    mark: Tick | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    base: int = HEIGHT - BOTTOM

    @property
    def output(self) -> Point:
        """The last row: what the model really says."""
        return self.points[-1]


def curve(
    *,
    layers: Sequence[int],
    prob: Sequence[float],
    rank: Sequence[int],
    top: Sequence[str],
    target: str,
    reading_layer: int | None,
) -> Curve:
    """The curve at one position.

    `prob`, `rank` (0 = top) and `top` (the lens's own favourite) run over `layers`, whose last entry is the
    model's real output; `target` is the token the probabilities belong to; `reading_layer` is K.
    """
    if not layers or not len(layers) == len(prob) == len(rank) == len(top):
        raise ValueError(f"a curve needs one value a layer: {len(layers)} layers, {len(prob)} probabilities")
    last = len(layers) - 1
    xs = [LEFT + (WIDTH - LEFT - RIGHT) * (i / last if last else 0.0) for i in range(len(layers))]
    points = [
        Point(round(xs[i], 1), round(_y(prob[i]), 1), layers[i], prob[i], rank[i], top[i], i == last)
        for i in range(len(layers))
    ]
    line = "M" + " L".join(f"{p.x},{p.y}" for p in points)
    base = HEIGHT - BOTTOM
    mark = next((Tick(p.x, str(p.layer)) for p in points if p.layer == reading_layer), None)
    return Curve(
        target=target,
        points=points,
        line=line,
        area=f"{line} L{points[-1].x},{base} L{points[0].x},{base} Z",
        x_ticks=_layer_ticks(points),
        y_ticks=[Tick(round(_y(v), 1), f"{v:.0%}") for v in (0.0, 0.5, 1.0)],
        mark=mark,
    )


def _y(value: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, value)))


def _layer_ticks(points: Sequence[Point]) -> list[Tick]:
    """About six numbers along the bottom, never crowding the last point's own label."""
    step = max(1, round((len(points) - 1) / 6))
    return [Tick(p.x, str(p.layer)) for p in points[:-1:step] if points[-1].x - p.x > 30]
