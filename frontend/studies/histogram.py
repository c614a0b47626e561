"""Histograms of how many orders of magnitude stated results are off, one for each of the two readings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from frontend import formatting
from frontend.lens.drawing import Tick
from frontend.studies.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, cell, chart
from frontend.studies.contexts import Chart, ChartBox, ChartPanel
from frontend.studies.figures import COLOURS, WHERE
from frontend.studies.names import percent, span
from server.studies.resampling import Estimate, share
from server.studies.schema import ALIGNMENTS, Alignment, Study

STEP, FARTHEST = 0.5, 3
"""Orders of magnitude that a bar is wide, and those of the outermost bar, which holds all beyond it too."""
BARS = 2 * round(FARTHEST / STEP) + 1
TICKS = {-3: "÷ 1,000", -2: "÷ 100", -1: "÷ 10", 0: "same", 1: "× 10", 2: "× 100", 3: "× 1,000"}
GAP = 2.0
"""Between two bars, in units of the drawing."""
Found = Sequence[tuple[int, int, int]]
"""(case, stated, true) of readings that state a result of the problem that they name."""


def charts(study: Study) -> list[Chart]:
    """The histogram; none where no reading states a result of a problem that it names."""
    found = {alignment: _found(study, alignment) for alignment in ALIGNMENTS}
    there = [alignment for alignment in ALIGNMENTS if found[alignment]]
    if not there:
        return []
    shares = {alignment: [_in_bar(found[alignment], n) for n in range(BARS)] for alignment in there}
    highest = max((e.interval or (0, e.value or 0))[1] for each in shares.values() for e in each)
    top = next((top for top in (0.25, 0.5) if highest <= top), 1.0)
    return [
        chart(
            "magnitudes",
            "How far is the stated result from the true one?",
            "Readings that name a multiplication and state its result, by stated over true result: each bar is half an "
            "order of magnitude wide, the outermost hold all beyond them. Lines are 95 % intervals over problems.",
            [_panel(study, alignment, found[alignment], shares[alignment], top) for alignment in there],
            "stated ÷ true →",
            [Tick(_across(order), name) for order, name in TICKS.items()],
            ["stated over true result", *(WHERE[alignment] for alignment in there)],
            [
                [_range(n), *(cell((shares[a][n].value, shares[a][n].interval)) for a in there)]
                for n in range(BARS)
            ],
        )
    ]


def _found(study: Study, alignment: Alignment) -> Found:
    return [
        (case.number, reading.stated, reading.true)
        for case in study.cases
        if case.error is None
        for digit in case.digits
        if (reading := digit.at if alignment == "at" else digit.before) is not None
        and reading.error is None
        and reading.stated
        and reading.true
    ]


def _bar(stated: int, true: int) -> int:
    """The bar, counted from the left."""
    order = math.log10(stated) - math.log10(true)
    return math.floor(min(max(order, -FARTHEST), FARTHEST) / STEP + 0.5) + BARS // 2


def _in_bar(found: Found, n: int) -> Estimate:
    return share([float(_bar(stated, true) == n) for _, stated, true in found], [case for case, *_ in found])


def _panel(
    study: Study, alignment: Alignment, found: Found, shares: Sequence[Estimate], top: float
) -> ChartPanel:
    half = (_across(STEP) - _across(0)) / 2
    boxes = [
        ChartBox(
            x=round(_across(STEP * (n - BARS // 2)) - half + GAP / 2, 1),
            width=round(2 * half - GAP, 1),
            top=_up((each.value or 0.0) / top),
            height=round(HEIGHT - BOTTOM - _up((each.value or 0.0) / top), 1),
            interval=None
            if each.interval is None
            else (_up(each.interval[0] / top), _up(each.interval[1] / top)),
        )
        for n, each in enumerate(shares)
        if each.value
    ]
    return ChartPanel(
        name=f"share of the readings {WHERE[alignment]}",
        lines=[],
        up=[Tick(_up(part), percent(part * top)) for part in (0.0, 0.5, 1.0)],
        boxes=boxes,
        colour=COLOURS[alignment],
        told=_told(study, alignment, found),
    )


def _told(study: Study, alignment: Alignment, found: Found) -> str:
    exact = sum(stated == true for _, stated, true in found)
    line = f"{len(found):,} readings {WHERE[alignment]}, {exact:,} of them with the true result."
    mean = study.statistics.get(alignment, {}).get("stated_log10_ratio")
    if mean is None or mean.value is None:
        return line
    interval = "" if mean.interval is None else f" ({span(mean.interval, _order)})"
    line += f" They are {_order(mean.value)} orders of magnitude off on average{interval}"
    if mean.null is not None and mean.null.value is not None:
        line += f", with the results of other problems’ readings {_order(mean.null.value)}"
    return f"{line}."


def _order(value: float) -> str:
    return formatting.number(value)


def _across(order: float) -> float:
    """Place an order of magnitude; the outermost bars are whole within the margins."""
    part = (order + FARTHEST + STEP / 2) / (2 * FARTHEST + STEP)
    return round(LEFT + (WIDTH - RIGHT - LEFT) * part, 1)


def _up(part: float) -> float:
    bottom = HEIGHT - BOTTOM
    return round(bottom - (bottom - TOP) * min(max(part, 0.0), 1.0), 1)


def _range(n: int) -> str:
    """`0.562 to 1.78 times`; the outermost have one end."""
    middle = STEP * (n - BARS // 2)
    low, high = (f"{10 ** (middle + end):.3g}" for end in (-STEP / 2, STEP / 2))
    if n == 0:
        return f"less than {high} times"
    return f"{low} times or more" if n == BARS - 1 else f"{low} to {high} times"
