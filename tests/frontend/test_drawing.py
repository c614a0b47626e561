"""The layers' curve as a plain drawing."""

from __future__ import annotations

import pytest

from frontend.lens.charts import Curve, Series
from frontend.lens.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Drawing, drawing
from tests.frontend import made
from tests.frontend.parsed import one, page


def drawn(scale: str, prob: list[float], rank: list[int], **marks: int) -> Drawing:
    series = Series("next", "c", prob, rank)
    return drawing(Curve([0, 1, 30], [series], ["a", "b", "c"], scale, **marks))  # type: ignore[arg-type]


def heights(made: Drawing) -> list[float]:
    """Of the first line, 0 at the bottom to 1 at the top."""
    inner = HEIGHT - TOP - BOTTOM
    return [
        round((HEIGHT - BOTTOM - float(point.split(",")[1])) / inner, 2) for point in made.lines[0].split()
    ]


@pytest.mark.parametrize(
    ("scale", "expected"), [("linear", [0, 0.5, 1]), ("log", [0, 0.95, 1]), ("rank", [0, 0.8, 1])]
)
def test_every_scale_runs_from_the_bottom_to_the_top(scale: str, expected: list[float]) -> None:
    assert heights(drawn(scale, [0.0, 0.5, 1.0], [200_000, 9, 0])) == expected


def test_layers_run_from_the_left_to_the_right_and_are_marked() -> None:
    made = drawn("linear", [0.0, 0.5, 1.0], [9, 1, 0], read=1, selected=30)
    assert [point.split(",")[0] for point in made.lines[0].split()] == ["58.0", "218.0", "378.0"]
    assert (made.read, made.selected) == ((LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT)
    assert made.across[-1].label == "output"


def test_a_layer_that_the_curve_has_not_is_not_marked() -> None:
    assert drawn("linear", [0.0, 0.5, 1.0], [9, 1, 0], read=7).read is None


def test_a_curve_of_one_layer_is_drawn() -> None:
    assert drawing(Curve([30], [Series("next", "c", [1.0], [0])], ["a"])).lines == [f"{LEFT}.0,{TOP}.0"]


def test_the_page_has_the_drawing_with_the_label_of_the_chart() -> None:
    chart = one(page(made.analysis()), "layer-curve")
    plain = one(chart, "svg")
    assert (plain["role"], plain["aria-label"]) == ("img", chart["label"])
    assert len(one(plain, "polyline.c0")["points"].split()) == made.LAYERS
