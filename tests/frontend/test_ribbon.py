"""The ribbon and its table on the page, and what the stream sends of them."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup, Tag

from frontend import page_stream, templating
from frontend.analysis.page import analysis_page
from frontend.analysis.readings_table import Narrowed, readings_page
from frontend.analysis.ribbon import ribbon_context
from frontend.analysis.ribbon_contexts import RibbonContext
from frontend.analysis.view import View
from frontend.page_stream import OpenPage
from frontend.view_state import ViewState
from server.analyses.schema import Analysis, Reading, Sibling, Snapshot
from server.errors import BadInput
from tests.frontend import made
from tests.frontend.test_page_stream import running, targets

ON = ViewState(ribbon="on")
TOPICS = [
    "rain",
    "gold",
    "bread",
    "ships",
    "clocks",
    "horses",
    "winter",
    "letters",
    "music",
    "bridges",
    "salt",
]


def analysis(**fields: object) -> Analysis:
    """The chat of `made`, whose readings have topics of their own, but those of 20 to 27: they agree."""
    readings = [
        made.reading(t.position, text=f"A story about {TOPICS[t.position % 11]}{'ab' * (t.position // 11)}.")
        for t in made.tokens()
    ]
    for n in range(20, 28):
        readings[n] = made.reading(n, text=f"A quiet poem, of {TOPICS[n % 11]}{'cd' * (n // 11)}.")
    return made.analysis(**{"readings": readings, **fields})


def html(context: RibbonContext) -> BeautifulSoup:
    return BeautifulSoup(templating.fragment("analysis/ribbon.ribbon", context), "html.parser")


def one(page: BeautifulSoup, selector: str) -> Tag:
    (found,) = page.select(selector)
    return found


def test_the_ribbon_is_not_made_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend.analysis.ribbon.made_of", None)
    page = html(analysis_page(View(analysis())).ribbon)
    assert page.select(".gloss") == []
    assert str(one(page, "#ribbon .button")["href"]).endswith("?t=10&ribbon=on#ribbon")


def test_each_token_has_a_line_that_pins_it() -> None:
    page = html(ribbon_context(View(analysis(), ON)))
    assert len(page.select("a.gloss")) == len(made.tokens())
    line = one(page, "#line-5")
    assert "about horses" in line.text
    assert "6\u202f%" in line.text
    assert line["href"] == "/a/abc123?t=5&ribbon=on"
    assert "s0" in one(page, "#line-5 .pieces i")["class"]
    assert one(page, "a.gloss[aria-current]")["id"] == "line-10"


def test_tokens_that_agree_are_folded_under_one_line() -> None:
    page = html(ribbon_context(View(analysis(), ON)))
    span = one(page, "details.merged")
    assert [line["id"] for line in span.select("a.gloss")] == [f"line-{n}" for n in range(20, 28)]
    assert [piece["data-position"] for piece in span.select("summary i")] == [str(n) for n in range(20, 28)]
    assert "quiet poem" in one(page, ".merged summary .says").text
    assert "20\u201327" in one(page, ".merged summary .held").text
    assert "open" not in span.attrs
    assert "8 tokens stand in spans" in one(page, "#ribbon-head").text


def test_the_span_of_the_pinned_token_is_open() -> None:
    page = html(ribbon_context(View(analysis(), ON.replace(t=22))))
    assert "open" in one(page, "details.merged").attrs


def test_turns_have_their_mean_and_the_template_is_folded() -> None:
    page = html(ribbon_context(View(analysis(), ON)))
    turns = page.select(".ribbon-turn")
    assert [turn.select_one("summary strong").text for turn in turns] == [  # type: ignore[union-attr]
        "template",
        "user",
        "template",
        "assistant",
    ]
    assert ["open" in turn.attrs for turn in turns] == [False, True, False, True]
    assert "9 tokens, hold 13\u202f% on average" in one(page, "#ribbon-turn-0").text


def test_a_token_without_a_reading_says_why() -> None:
    readings = [Reading(position=5, error="broken"), *analysis().readings[6:]]
    page = html(ribbon_context(View(analysis(status="running", readings=readings), ON)))
    assert "its reading failed" in one(page, "#line-5").text
    assert "not yet read" in one(page, "#line-4").text


def test_a_ribbon_of_a_pair_without_a_variance_shows_cosines() -> None:
    readings = [made.reading(n, fve=None, text=TOPICS[n % 11]) for n in range(34)]
    page = html(ribbon_context(View(analysis(fve_variance=None, readings=readings), ON)))
    assert "cosine 0.70 on average" in one(page, "#ribbon-turn-0").text


def test_other_layers_are_links_to_their_own_ribbons() -> None:
    there = Sibling(pair="other", layer=12, id="def", url="/a/def", status="done")
    choices = ribbon_context(View(analysis(siblings=[there]), ON)).layers
    assert [(c.label, c.href, c.current) for c in choices] == [
        ("layer 12", "/a/def?t=10&ribbon=on#ribbon", False),
        ("layer 20", "/a/abc123?ribbon=on#ribbon", True),
    ]


def test_the_address_says_whether_the_ribbon_is_shown() -> None:
    assert ViewState.of([("ribbon", "on")]).query() == "?ribbon=on"
    assert ViewState().query() == ""
    with pytest.raises(BadInput, match="ribbon"):
        ViewState.of([("ribbon", "maybe")])


def test_a_part_of_the_page_leaves_the_ribbon_as_the_address_has_it() -> None:
    state = ViewState.meant([("t", "3"), ("ribbon", "off")], "http://here/a/abc?t=1&ribbon=on")
    assert (state.t, state.ribbon) == (3, "on")


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_stream_sends_nothing_of_a_ribbon_that_is_not_shown() -> None:
    sent = targets(OpenPage().fragments(Snapshot(analysis(status="running"))))
    assert not any(target.startswith("#ribbon") for target in sent)


def test_the_stream_sends_the_ribbon_now_and_then_and_at_the_end() -> None:
    clock, whole = Clock(), analysis().readings
    page = OpenPage(ON, clock)

    def sent(count: int, status: str = "running") -> list[str]:
        found = targets(page.fragments(Snapshot(running(readings=whole[:count], status=status))))
        return [target for target in found if target.startswith("#ribbon")]

    assert sent(4) == ["#ribbon"]
    assert sent(5) == []
    clock.now += page_stream.RIBBON_EVERY
    assert "#ribbon-0-0" in sent(6)
    clock.now += page_stream.RIBBON_EVERY
    assert sent(6) == []  # nothing new
    assert sent(7) != []
    assert sent(8) == []
    assert "#ribbon-1-0" in sent(34, "done")


def test_a_ribbon_that_takes_long_is_made_the_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, made_of = Clock(), ribbon_context

    def slow(view: View) -> RibbonContext:
        clock.now += 2
        return made_of(view)

    monkeypatch.setattr(page_stream, "ribbon_context", slow)
    page, whole = OpenPage(ON, clock), analysis().readings
    page.fragments(Snapshot(running(readings=whole[:4])))
    clock.now += page_stream.RIBBON_SHARE * 2 - 1
    assert "#ribbon" not in page.fragments(Snapshot(running(readings=whole[:8])))
    clock.now += 1
    assert "#ribbon" in page.fragments(Snapshot(running(readings=whole[:8])))


def rows(**asked: str) -> list[int]:
    return [row.position for row in readings_page(View(analysis()), Narrowed(**asked)).rows]


def test_the_table_hides_the_template() -> None:
    assert rows() == [*range(3, 12), *range(17, 34)]
    assert rows(template="1") == list(range(34))
    assert rows(role="template") == [0, 1, 2, *range(12, 17)]


def test_the_table_is_filtered_by_words_and_by_turn() -> None:
    assert rows(q="POEM quiet") == list(range(20, 28))
    assert rows(role="user") == list(range(3, 12))
    assert rows(q="nothing of the kind") == []


def test_the_table_is_sorted_and_sorted_back() -> None:
    assert rows(sort="-score")[:3] == [32, 33, 31]
    assert rows(sort="score")[0] == 3
    assert rows(sort="-position")[0] == 33
    assert rows(sort="nonsense") == rows()
    columns = readings_page(View(analysis()), Narrowed(sort="score", q="a")).columns
    assert [(c.label, c.sorted) for c in columns if c.sorted] == [("holds", "ascending")]
    assert [c.href for c in columns if c.label == "holds"] == ["/a/abc123/readings?sort=-score&q=a"]


def test_the_table_is_a_page_with_a_form() -> None:
    page = BeautifulSoup(
        templating.render("analysis/readings.html", readings_page(View(analysis()), Narrowed(q="poem"))),
        "html.parser",
    )
    assert one(page, "form output").text == "8 of 34 readings"
    assert len(page.select("tbody tr")) == 8
    assert one(page, "[aria-sort]").text == "position"
