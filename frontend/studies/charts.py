"""The figures of a study as lines: the lens over the layers, and edits over their strengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from frontend import formatting
from frontend.lens.drawing import Tick
from frontend.studies.contexts import Chart, ChartLine, ChartPanel
from frontend.studies.figures import EDITED
from frontend.studies.names import percent, span
from server.studies.resampling import share
from server.studies.schema import Case, DigitResult, Statistic, Study

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 26, 40
"""The margins of one drawing."""
COLOURS = 6
"""Colours of lines."""
OUTCOMES = (
    ("intended", "c0", "the intended digit"),
    ("other", "c1", "another number"),
    ("broken", "c4", "no number"),
    ("produced", "c5", "the digit stays"),
)
Series = Sequence[tuple[float | None, tuple[float, float] | None]]
"""(value, interval) of each step across."""
Across = Callable[[int], float]


def charts(study: Study) -> list[Chart]:
    """Build the charts that there is something to draw for."""
    return [made for made in (_lens(study), _dose(study)) if made is not None] + _languages(study)


def _lens(study: Study) -> Chart | None:
    """At how many of the digits their token is first at each layer, right ones beside wrong ones."""
    digits = [(case.number, digit) for case in study.cases for digit in case.digits if digit.ranks]
    if not digits:
        return None
    layers = _layers([digit for _, digit in digits])
    series: dict[str, Series] = {}
    for side, right in (("right", True), ("wrong", False)):
        those = [(number, digit) for number, digit in digits if digit.right is right]
        if those:
            clusters = [number for number, _ in those]
            estimates = [
                share([float(digit.ranks[row] == 0) for _, digit in those], clusters)
                for row in range(len(layers))
            ]
            series[f"{side} digits ({len(those)})"] = [(e.value, e.interval) for e in estimates]
    last = len(layers) - 1

    def across(row: int) -> float:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * row / max(last, 1), 1)

    step = max(1, round(last / 6))
    rows = [row for row in range(0, last, step) if last - row > last / 12]
    colours = {name: "c1" if name.startswith("right") else "c0" for name in series}
    lines = [(name, colours[name], values) for name, values in series.items()]
    return chart(
        "lens",
        "When does the digit become the first choice?",
        "The share of digits whose token is the logit lens’s first choice at a layer, at the position before the "
        "digit. Bands are 95 % intervals over problems.",
        [_panel("first choice", lines, across)],
        "layer →",
        [Tick(across(row), str(layers[row])) for row in rows] + [Tick(across(last), str(layers[last]))],
        ["layer", *series],
        [
            [str(layer), *(cell(values[row]) for values in series.values())]
            for row, layer in enumerate(layers)
        ],
    )


def _layers(digits: Sequence[DigitResult]) -> list[int]:
    """The layers that the ranks are of: those before and after the first one at which a digit is first."""
    known = next((digit for digit in digits if digit.first_layer is not None), None)
    first = 0
    if known is not None and known.first_layer is not None and 0 in known.ranks:
        first = known.first_layer - known.ranks.index(0)
    return list(range(first, first + min(len(digit.ranks) for digit in digits)))


def _dose(study: Study) -> Chart | None:
    """Draw what edits of each strength do to the model's first choice, and to the intended digit's probability."""
    found = study.statistics.get("edits", {})
    alphas = sorted({float(name.rpartition("_at_")[2]) for name in found if name.startswith("intended_at_")})
    if not alphas:
        return None

    def series(name: str) -> Series:
        return [_of(found.get(f"{name}_at_{alpha:g}")) for alpha in alphas]

    low, high = math.log(alphas[0]), math.log(alphas[-1])

    def across(n: int) -> float:
        part = (math.log(alphas[n]) - low) / (high - low) if high > low else 0.5
        return round(LEFT + (WIDTH - RIGHT - LEFT) * part, 1)

    outcomes = [(words, colour, series(name)) for name, colour, words in OUTCOMES]
    probs = [
        ("after the edit", "c0", series("prob")),
        ("after random directions", "c5", series("random_prob")),
    ]
    first = found[f"intended_at_{alphas[0]:g}"]
    return chart(
        "edits",
        "Does a digit replaced in the words come out?",
        f"In {first.n:,} readings before a digit, the digit that they hint is replaced by another, and the model is "
        "steered with the difference. The points are joined to be followed by the eye; bands are 95 % intervals over "
        f"problems. Dashed: about {formatting.percent(EDITED)} of the original study’s edits gave the intended digit.",
        [
            _panel("the model’s first choice", outcomes, across, EDITED),
            _panel("probability of the digit", probs, across),
        ],
        "strength α →",
        [Tick(across(n), f"{alpha:g}") for n, alpha in enumerate(alphas)],
        ["α", *(name for name, *_ in (*outcomes, *probs))],
        [
            [f"{alpha:g}", *(cell(values[n]) for _, _, values in (*outcomes, *probs))]
            for n, alpha in enumerate(alphas)
        ],
    )


def _languages(study: Study) -> list[Chart]:
    """Draw how often the readings name each language along each transcript."""
    return [_transcript(case) for case in study.cases if case.lines]


def _transcript(case: Case) -> Chart:
    count = len(case.readings)
    written = [reading.language or "" for reading in case.readings]
    turns = [n for n in range(count) if n == 0 or written[n] != written[n - 1]]

    def across(n: int) -> float:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * n / max(count - 1, 1), 1)

    lines: list[tuple[str, str, Series]] = [
        (line.language, f"c{n % COLOURS}", [(value, None) for value in line.values])
        for n, line in enumerate(case.lines)
        if any(line.values) or line.language in written
    ]
    highest = max(((line.null.interval or (0, 0))[1] for line in case.lines), default=0.0)
    return chart(
        f"languages-{case.number + 1}",
        f"Languages along transcript {case.number + 1}",
        f"How often the readings name each language, smoothed over their neighbours; under the axis, the language that "
        f"is written. Dealt to each other’s places they name none of them more often than {percent(highest)} at 97.5 % "
        "of the places.",
        [_panel("named", lines, across)],
        "position →",
        [Tick(across(n), written[n]) for n in turns],
        ["position", "written", *(name for name, *_ in lines)],
        [
            [str(reading.position), written[n], *(cell(values[n]) for _, _, values in lines)]
            for n, reading in enumerate(case.readings)
        ],
    )


def _of(statistic: Statistic | None) -> tuple[float | None, tuple[float, float] | None]:
    return (None, None) if statistic is None else (statistic.value, statistic.interval)


def chart(
    id: str,
    title: str,
    explained: str,
    panels: list[ChartPanel],
    across_name: str,
    across: list[Tick],
    head: list[str],
    rows: list[list[str]],
) -> Chart:
    """A chart of the size that all have."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    return Chart(
        id, title, explained, panels, across_name, across, head, rows,
        WIDTH, HEIGHT, LEFT, right, TOP, bottom,
    )  # fmt: skip


def _panel(
    name: str, lines: Sequence[tuple[str, str, Series]], across: Across, original: float | None = None
) -> ChartPanel:
    drawn = []
    for words, colour, values in lines:
        places = [
            (across(n), value, interval) for n, (value, interval) in enumerate(values) if value is not None
        ]
        banded = [(x, interval) for x, _, interval in places if interval is not None]
        band = [(x, low) for x, (low, _) in banded] + [(x, high) for x, (_, high) in reversed(banded)]
        drawn.append(
            ChartLine(
                colour=colour,
                name=words,
                points=_line([(x, value) for x, value, _ in places]),
                band=_line(band) if len(banded) > 1 else "",
            )
        )
    up = [Tick(_up(value), percent(value)) for value in (0.0, 0.5, 1.0)]
    return ChartPanel(name, drawn, up, None if original is None else _up(original))


def _up(value: float) -> float:
    bottom = HEIGHT - BOTTOM
    return round(bottom - (bottom - TOP) * min(max(value, 0.0), 1.0), 1)


def _line(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{_up(value)}" for x, value in places)


def cell(found: tuple[float | None, tuple[float, float] | None]) -> str:
    """A share with its interval."""
    value, interval = found
    if value is None:
        return formatting.number(None)
    return percent(value) + ("" if interval is None else f" ({span(interval, percent)})")
