"""Dose and response: what an edit does at each strength, drawn beside random directions and other readings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from frontend import formatting
from frontend.edits.contexts import DoseContext, DosePanel
from frontend.lens.drawing import Tick
from server.interventions.schema import Intervention, SweepPoint

WIDTH, HEIGHT = 300, 190
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 24, 34
"""The margins of one drawing."""
Place = Callable[[float], float]


def dose(made: Intervention) -> DoseContext | None:
    """The drawings of a sweep: how far the next token moves, and how likely the watched words become. None for fewer
    than three strengths, or where they do not have one sign: they stand on a logarithmic axis.
    """
    points = sorted(made.sweep, key=lambda point: abs(point.alpha))
    if len(points) < 3 or not (all(p.alpha > 0 for p in points) or all(p.alpha < 0 for p in points)):
        return None
    across = _across(points)
    ticks = [Tick(across(p.alpha), f"{p.alpha:g}".replace("-", formatting.MINUS)) for p in points]
    panels = [_moved(points, across)]
    if made.request.targets or points[0].old_first is not None:
        panels.append(_next(made, points, across))
    return DoseContext(panels, ticks, WIDTH, HEIGHT, LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def _moved(points: Sequence[SweepPoint], across: Place) -> DosePanel:
    most = max(
        [1e-9, *(p.kl for p in points), *(kl for p in points for kl in (*p.other_kls, *p.random_interval))]
    )
    up = _up(most)
    lows, highs = ([p.random_interval[n] for p in points] for n in (0, 1))
    band = [*zip(points, lows, strict=True), *reversed(list(zip(points, highs, strict=True)))]
    return DosePanel(
        name="moved, nats",
        lines=[("c0", _line([(across(p.alpha), up(p.kl)) for p in points]))],
        keys=[("c0", "the edit")],
        band=_line([(across(p.alpha), up(kl)) for p, kl in band]),
        dots=[(across(p.alpha), up(kl)) for p in points for kl in p.other_kls],
        ticks=[Tick(up(value), formatting.number(value, 1)) for value in (0.0, most / 2, most)],
    )


def _next(made: Intervention, points: Sequence[SweepPoint], across: Place) -> DosePanel:
    """The probabilities of the watched words, of the old first choice, and of what is neither old nor watched."""
    up = _up(1.0)
    lines = [
        (f"c{n + 1}", formatting.quoted(target), [p.probs[n] for p in points])
        for n, target in enumerate(made.request.targets)
    ]
    if all(p.old_first is not None for p in points):
        first = f"the old first choice, {formatting.quoted(made.before.top[0][1])}"
        lines.append(("old", first, [p.old_first or 0.0 for p in points]))
        lines.append(("elsewhere", "neither old nor watched", [p.elsewhere or 0.0 for p in points]))
    return DosePanel(
        name="probability of the next token",
        lines=[
            (colour, _line([(across(p.alpha), up(prob)) for p, prob in zip(points, probs, strict=True)]))
            for colour, _, probs in lines
        ],
        keys=[(colour, name) for colour, name, _ in lines],
        band="",
        dots=[],
        ticks=[Tick(up(value), formatting.percent(value)) for value in (0.0, 0.5, 1.0)],
    )


def _across(points: Sequence[SweepPoint]) -> Place:
    low, high = (math.log(abs(points[n].alpha)) for n in (0, -1))
    span = (high - low) or 1.0
    return lambda alpha: round(LEFT + (WIDTH - RIGHT - LEFT) * (math.log(abs(alpha)) - low) / span, 1)


def _up(most: float) -> Place:
    bottom = HEIGHT - BOTTOM
    return lambda value: round(bottom - (bottom - TOP) * min(max(value / most, 0.0), 1.0), 1)


def _line(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)
