"""The histogram of how far stated results are from the true ones."""

from __future__ import annotations

import pytest

from frontend.studies.charts import BOTTOM, HEIGHT, TOP
from frontend.studies.histogram import BARS, TICKS, charts
from server.studies.schema import Case
from tests.frontend.made_study import case, study
from tests.frontend.parsed import one
from tests.frontend.test_studies import page

MIDDLE = BARS // 2


def stating(number: int, stated: int) -> Case:
    """20 × 5 = 100, with readings at the digits that state this."""
    return case(number, (20, 5), "100", stated)


@pytest.mark.parametrize(
    ("stated", "bar"),
    [
        (100, MIDDLE),
        (57, MIDDLE),
        (56, MIDDLE - 1),
        (177, MIDDLE),
        (178, MIDDLE + 1),
        (1000, MIDDLE + 2),
        (10, MIDDLE - 2),
        (1, MIDDLE - 4),
        (10**9, BARS - 1),
    ],
)
def test_each_result_is_in_its_bar(stated: int, bar: int) -> None:
    (figure,) = charts(study([stating(n, stated) for n in range(5)]))
    assert [row[1].startswith("100") for row in figure.rows] == [n == bar for n in range(BARS)]
    (panel,) = figure.panels
    (box,) = panel.boxes
    assert (box.top, box.height) == (TOP, HEIGHT - BOTTOM - TOP)


def test_bars_stand_where_the_ticks_say() -> None:
    (figure,) = charts(study([stating(n, stated) for n, stated in enumerate((1, 10, 100, 1000, 10_000))]))
    middles = [round(box.x + box.width / 2, 1) for box in figure.panels[0].boxes]
    ticks = {tick.label: tick.at for tick in figure.across}
    assert middles == pytest.approx([ticks[TICKS[order]] for order in (-2, -1, 0, 1, 2)], abs=0.2)
    assert [tick.label for tick in figure.panels[0].up] == ["0\u202f%", "50\u202f%", "100\u202f%"]


def test_no_result_no_histogram_and_a_zero_has_no_magnitude() -> None:
    silent = [case(n, (20, 5), "100", None) for n in range(5)]
    assert charts(study(silent)) == []
    assert charts(study([stating(n, 0) for n in range(5)])) == []
    assert charts(study([])) == []


def test_it_is_on_the_page_with_its_table_and_the_mean_beside_chance() -> None:
    soup = page(study([stating(n, 1000 if n % 2 else 100) for n in range(10)]))
    figure = one(soup, "#figure-magnitudes")
    assert len(figure.select("tbody tr")) == BARS and len(figure.select("rect.box")) == 2
    told = one(figure, "figure .aside").text
    assert "30 readings at the digit, 15 of them with the true result." in told
    assert "0.50 orders of magnitude off on average" in told and "other problems’ readings" in told
