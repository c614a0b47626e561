"""What is read at other layers, beneath the pinned token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.analysis.panel import pinned_panel
from frontend.analysis.view import View
from frontend.view_state import ViewState
from server.analyses.schema import LayerReadings, Reading, Sibling
from server.jobs.progress import Status
from tests.frontend import made
from tests.frontend.parsed import curve, one, words


def there(layer: int, status: Status = "done", *readings: Reading, error: str | None = None) -> LayerReadings:
    """A sibling at a layer."""
    sibling = Sibling(pair=f"pair-{layer}", layer=layer, id=f"id{layer}", url=f"/a/id{layer}", status=status)
    return LayerReadings(sibling, list(readings), error)


def shown(*siblings: LayerReadings, **fields: Any) -> BeautifulSoup:
    """The panel of position 10."""
    analysis = made.analysis(siblings=[b.sibling for b in siblings], **fields)
    panel = pinned_panel(View(analysis, ViewState(t=10), other_layers=siblings))
    return BeautifulSoup(templating.fragment("analysis/panel.panel", panel), "html.parser")


def test_each_layer_has_its_reading_its_score_and_a_link_to_the_same_position() -> None:
    soup = shown(there(5, "done", made.reading(10, fve=0.62)), there(25, "done", made.reading(10, fve=0.4)))
    layers = one(soup, "#beside-10").select(".at-layer")
    assert [words(one(layer, "h4")) for layer in layers] == ["layer 5 pair-5", "layer 25 pair-25"]
    assert [one(layer, "h4 a")["href"] for layer in layers] == ["/a/id5?t=10", "/a/id25?t=10"]
    assert "62" in words(one(layers[0], ".headline"))
    assert not one(soup, "#beside-10").has_attr("hx-get")


@pytest.mark.parametrize(
    ("sibling", "said"),
    [
        (there(5, "queued"), "Waits for its pair"),
        (there(5, "running"), "Being read."),
        (there(5, "failed", error="the <b>engine</b> died"), "This failed: the <b>engine</b> died"),
        (there(5, "cancelled"), "This was cancelled."),
        (there(5), "This position was not read."),
    ],
)
def test_it_says_why_there_is_nothing(sibling: LayerReadings, said: str) -> None:
    assert words(one(shown(sibling), ".at-layer .waiting-note")).startswith(said)


def test_a_reading_that_is_being_scored_there_is_not_called_unscored() -> None:
    unscored = made.reading(10, cos=None, mse=None, fve=None, rank=None)
    section = one(shown(there(5, "running", unscored)), ".at-layer")
    assert "Measuring how much the words hold" in words(section)


def test_what_was_quantised_there_stands_by_its_score_alone() -> None:
    quantised = replace(there(5, "done", made.reading(10)), versions={"precision": "ar=4bit"})
    soup = shown(quantised, there(25, "done", made.reading(10)), versions={"precision": "target=8bit"})
    said = [words(found) for found in soup.select(".at-layer .precision")]
    assert said == ["Quantised: the AR in 4 bits. The score is of these, not of the released weights."]


def test_it_is_asked_for_again_while_something_is_missing_and_says_so() -> None:
    section = one(shown(there(5), there(25, "running")), "#beside-10")
    assert (section["hx-get"], section["hx-trigger"]) == ("/a/abc123/beside?t=10", "every 3s")
    assert "comes here by itself" in words(section)


def test_without_siblings_there_is_nothing() -> None:
    assert one(shown(), "#beside-10").has_attr("hidden")


def test_the_curve_marks_every_layer_that_is_read() -> None:
    assert curve(shown(there(5), there(25)))["also"] == [5, 25]
