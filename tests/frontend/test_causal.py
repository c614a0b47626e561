"""The causal scores on the page: of a reading, of the text, and as its colours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.analysis.page import analysis_page, legend
from frontend.analysis.panel import panel
from frontend.analysis.tokens import token
from frontend.analysis.view import View
from frontend.causal.parts import parts as panel_parts
from frontend.causal.section import causal_section
from frontend.causal.stream import OpenScores
from frontend.formatting import MINUS
from frontend.view_state import ViewState
from server.jobs.progress import Progress
from server.measurements.schema import (
    CausalScore,
    CausalSummary,
    ControlSummary,
    Effect,
    Measurement,
    MeasurementRequest,
    Parts,
    PendingMeasurement,
    Variant,
)
from tests.frontend import made

MADE = datetime(2026, 11, 25, tzinfo=UTC)


def effect(kl: float, **more: Any) -> Effect:
    return Effect(**{"kl": kl, "kl_after": kl / 10, "loss": kl / 2, "kept": kl < 1, **more})


def score(position: int, kl: float, mean: float = 4.0) -> CausalScore:
    share = None if mean < 0.01 else 1 - kl / mean
    controls = {"other": effect(2.0), "shuffled": effect(6.0), "random": effect(0.5)}
    return CausalScore(
        position=position,
        sample=0,
        score=share,
        after=share,
        reading=effect(kl),
        mean=effect(mean),
        **controls,
    )


def summary(own: float, other: float) -> CausalSummary:
    def control(share: float) -> ControlSummary:
        return ControlSummary(n=9, score=share, after=share, kl=1 - share, kl_after=0.1, loss=0.5, kept=0.5)

    return CausalSummary(reading=control(own), mean=control(0.0), other=control(other), correlation=0.25)


def measured(view: View, own: float = 0.7, other: float = 0.4, **kls: float) -> Measurement:
    """Causal scores of every reading: KL 1 of 4, others as they are given (`p7=3.0`)."""
    return Measurement(
        id="m", url="/a/abc123?by=causal", analysis="abc123", created=MADE, request=MeasurementRequest(), pair="p",
        layer=20, scores=[score(r.position, kls.get(f"p{r.position}", 1.0)) for r in view.analysis.readings],
        content=summary(own, other), left_out=None, versions={}, seconds=1.0,
    )  # fmt: skip


@pytest.fixture
def view() -> View:
    return View(made.analysis())


def with_scores(view: View, *, by: str = "score", **kls: float) -> View:
    return view.replace(causal=measured(view, **kls), view_state=ViewState(t=7, by=by))


def section(view: View, error: str = "") -> Any:
    html = templating.fragment("causal/section.section", causal_section(view, error))
    return BeautifulSoup(html, "html.parser")


def test_a_reading_says_what_it_undoes_and_shows_its_controls(view: View) -> None:
    (reading,) = panel(with_scores(view, p7=1.0), 7).readings
    assert reading.causal is not None
    assert "undoes 75\u202f% of what the text\u2019s mean activation breaks" in reading.causal.headline
    rows = {row.name: (row.kl, row.after, row.kept) for row in reading.causal.rows}
    assert rows["this reading"] == ("1.00", "0.100", "changed")
    assert rows["another reading, at the same angle"] == ("2.00", "0.200", "changed")
    assert rows["a random direction, at the same angle"] == ("0.50", "0.050", "kept")


def test_nothing_is_said_before_it_is_measured(view: View) -> None:
    assert panel(view, 7).readings[0].causal is None
    assert not legend(view).colours


@pytest.mark.parametrize(
    ("kl", "mean", "said"),
    [(5.0, 4.0, "no better for the next token"), (0.0, 0.001, "hardly matters")],
)
def test_a_score_that_tells_nothing_is_said_to(view: View, kl: float, mean: float, said: str) -> None:
    found = measured(view).model_copy(update={"scores": [score(7, kl, mean)]})
    (reading,) = panel(view.replace(causal=found), 7).readings
    assert reading.causal is not None and said in reading.causal.headline


def test_the_text_is_coloured_by_it_where_the_address_asks_for_that(view: View) -> None:
    by_score, by_causal = (with_scores(view, by=by, p7=0.1) for by in ("score", "causal"))
    assert "s9" in token(by_causal, 7).classes and "undoes 98\u202f%" in token(by_causal, 7).label
    assert token(by_score, 7).classes == token(view, 7).classes
    assert [(c.label, c.current) for c in legend(by_causal).colours] == [
        ("round-trip score", False), ("causal score", True),
    ]  # fmt: skip
    assert legend(by_causal).measure != legend(by_score).measure


def test_without_scores_the_address_alone_changes_no_colour(view: View) -> None:
    asked = view.replace(view_state=ViewState(by="causal"))
    assert token(asked, 7).classes == token(view, 7).classes


def test_it_can_be_asked_for(view: View) -> None:
    form = section(view).form
    assert (form["method"], form["action"]) == ("post", "/a/abc123/causal")
    assert form.button.text == "Measure causal scores"


def test_an_error_is_said_beside_the_button(view: View) -> None:
    found = section(view, "16 measurements are at work <b>")
    assert "16 measurements are at work <b>" in found.select_one(".error").text
    assert found.form is not None


def on_its_way(*positions: int) -> PendingMeasurement:
    """Causal scores of which those of some positions have been measured."""
    return PendingMeasurement(
        id="m", url="", analysis="abc123", created=MADE, request=MeasurementRequest(), pair="p",
        progress=Progress(stage="patch", done=30, total=120), scores=[score(p, 1.0) for p in positions],
    )  # fmt: skip


def test_one_on_its_way_shows_how_far_it_is_and_is_followed(view: View) -> None:
    pending = view.replace(causal=on_its_way(), view_state=ViewState(t=7))
    found = section(pending)
    assert (found.progress["value"], found.progress["max"]) == ("30", "120")
    assert found.form["action"] == "/a/abc123/causal/cancel"
    assert analysis_page(pending).causal_stream == "/a/abc123/causal/stream?t=7"
    assert analysis_page(with_scores(view)).causal_stream is None


def test_what_is_measured_so_far_is_shown_and_colours_the_text(view: View) -> None:
    first, second, third = sorted(r.position for r in view.analysis.readings if r.cos is not None)[:3]
    so_far = view.replace(causal=on_its_way(first, second), view_state=ViewState(t=first, by="causal"))
    assert len(section(so_far).select(".scatter a")) == 2
    assert "undoes 75" in token(so_far, first).label and " scored s7" in token(so_far, first).classes
    assert "not yet scored" in token(so_far, third).label and "scoring" in token(so_far, third).classes
    assert panel(so_far, first).readings[0].causal is not None


def test_an_open_page_is_sent_what_has_changed_by_a_score(view: View) -> None:
    first, second = sorted(r.position for r in view.analysis.readings if r.cos is not None)[:2]
    state = ViewState(t=second, by="causal")
    page = OpenScores()
    page.fragments(view.replace(causal=on_its_way(first), view_state=state))
    more = view.replace(causal=on_its_way(first, second), view_state=state)
    sent = BeautifulSoup(page.fragments(more), "html.parser")
    targets = [partial["hx-target"] for partial in sent("hx-partial")]
    assert targets == ["#causal", f"#tok-{second}", f"#reading-{second}"]
    assert page.fragments(more) == ""


def test_the_text_is_summed_up_beside_the_null(view: View) -> None:
    words = section(with_scores(view)).text
    assert "undo 70\u202f%" in words and "30 points are owed to what these words say" in words
    refuted = section(view.replace(causal=measured(view, own=0.4, other=0.4))).text
    assert "not owed to what their words say" in refuted


def test_every_reading_with_both_scores_is_a_dot_that_leads_to_it(view: View) -> None:
    found = section(with_scores(view))
    dots = found.select(".scatter a")
    both = [r for r in view.analysis.readings if r.cos is not None]
    assert len(dots) == len(both)
    assert "t=" in dots[0]["href"] and dots[0]["hx-target"] == "#panel"
    assert len(found.select("circle.is-pinned")) == 1


def test_a_token_whose_scores_come_apart_is_named(view: View) -> None:
    content = [
        r for r in view.analysis.readings if r.cos is not None and view.analysis.tokens[r.position].content
    ]
    best = max(content, key=lambda r: r.fve or 0)
    kls = {f"p{r.position}": 0.1 * n for n, r in enumerate(sorted(content, key=lambda r: -(r.fve or 0)), 1)}
    kls[f"p{best.position}"] = 3.9  # it holds the most and undoes the least
    context = causal_section(with_scores(view, **kls))
    assert context.less_than_held[0].href == f"/a/abc123?t={best.position}"


# What carries one reading


def with_parts(view: View) -> View:
    """`One two. Three.` holds 60 %; 10 % without the first sentence, 50 % without the second."""
    variants: list[dict[str, Any]] = [
        {"kind": "whole", "text": "One two. Three.", "fve": 0.6},
        {"kind": "without_sentence", "index": 0, "text": "Three.", "fve": 0.1},
        {"kind": "without_sentence", "index": 1, "text": "One two.", "fve": 0.5},
        {"kind": "without_random", "index": 1, "text": "One Three.", "fve": 0.4},
        {"kind": "without_random", "index": 1, "text": "two. Three.", "fve": 0.2},
        {"kind": "without_word", "index": 0, "text": "two. Three.", "fve": 0.2},
        {"kind": "without_word", "index": 1, "text": "One Three.", "fve": 0.4},
        {"kind": "without_word", "index": 2, "text": "One two.", "fve": 0.7},
        {"kind": "without_quote", "index": 0, "text": "One", "fve": 0.3},
        {"kind": "lowercase", "text": "one two. three.", "fve": None},
        {"kind": "given", "index": 0, "text": "<b>Un", "fve": 0.3},
    ]
    parts = Parts(
        position=7, sample=0, mean_kl=4.0,
        sentences=["One two. ", "Three."], quotes=["“Three”"], words=["One ", "two. ", "Three."],
        variants=[Variant(**{"index": None, "cos": v["fve"], "kl": v["fve"], **v}) for v in variants],
    )  # fmt: skip
    found = measured(view).model_copy(update={"parts": parts, "scores": []})
    return view.replace(parts={(7, 0): found}, view_state=ViewState(t=7))


def carried(view: View, error: str = "") -> Any:
    context = panel_parts(view, view.by_position[7][0], error)
    return BeautifulSoup(templating.fragment("causal/parts.parts", context), "html.parser")


def test_a_sentence_stands_with_what_is_lost_without_it_and_without_random_words(view: View) -> None:
    rows = [row.get_text(" ", strip=True) for row in carried(with_parts(view)).select("tbody")[0]("tr")]
    assert rows == [
        f"One two. 10\u202f% {MINUS}50.0 points",
        f"Three. 50\u202f% {MINUS}10.0 points {MINUS}30.0 points",
    ]
    meters = [float(meter["value"]) for meter in carried(with_parts(view)).table.select("meter")]
    assert meters == [pytest.approx(0.833, abs=1e-3), pytest.approx(0.167, abs=1e-3)]


def test_the_words_that_carry_the_most_are_the_darkest(view: View) -> None:
    words = carried(with_parts(view)).select_one(".carried")
    assert words.text == "One two. Three."
    assert [(mark.text, mark["class"]) for mark in words("mark")] == [("One ", ["k4"]), ("two. ", ["k2"])]


def test_a_quotation_stands_with_what_is_lost_without_it(view: View) -> None:
    (row,) = carried(with_parts(view)).select("tbody")[1]("tr")
    assert row.get_text(" ", strip=True) == f"“Three” 30\u202f% {MINUS}30.0 points"


def test_other_forms_are_escaped_and_one_without_a_vector_says_so(view: View) -> None:
    forms = carried(with_parts(view)).select("tbody")[2]("tr")
    assert "no score" in forms[0].text
    assert forms[1].select_one(".form-text").text == "<b>Un" and "30\u202f%" in forms[1].text


def test_it_can_be_asked_of_a_reading_that_has_ended(view: View) -> None:
    form = carried(view.replace(parts={})).form
    assert (form["action"], form.button.text) == ("/a/abc123/parts?t=7&sample=0", "Which words carry it?")
    assert panel(view.replace(parts={}), 7).readings[0].parts is not None
    assert panel(view, 7).readings[0].parts is None  # an exported file has nobody to ask


def test_an_error_is_said_where_it_was_asked(view: View) -> None:
    assert "too long" in carried(view.replace(parts={}), "too long").select_one(".error").text
