"""Two analyses beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.compare.comparison import Side, compare
from frontend.compare.contexts import ComparePage
from server.analyses.alignment import aligned, shared_prefix
from server.analyses.schema import Analysis, Reading, Token
from server.analyses.score_gap import interval
from tests.frontend import made
from tests.frontend.parsed import READY, one, words


def text(*tokens: str, **fields: object) -> Analysis:
    """An analysis of raw text, one reading a token."""
    rows = [(token, "text", "prompt", False) for token in tokens]
    found = [Token.model_validate(t.model_dump() | {"id": sum(map(ord, t.text))}) for t in made.tokens(rows)]
    readings = [made.reading(t.position, fve=0.5, text=f"It says {t.text}") for t in found]
    given = {"tokens": found, "readings": readings, "focus": 0, "lens": None, "id": "aaa"} | fields
    return made.analysis(**given)


def page(a: Side, b: Side, t: int | None = None, u: int | None = None) -> BeautifulSoup:
    context = ComparePage(compare(a, b, t, u), [], READY)
    return BeautifulSoup(templating.render("compare/compare.html", context), "html.parser")


FIRST = text("The", " cat", " sat", " down")
SECOND = text("The", " big", " cat", " sat", id="bbb")


def test_the_same_tokens_in_the_same_order_are_paired() -> None:
    assert aligned(FIRST.tokens, SECOND.tokens) == [(1, 2), (2, 3)]


def chat(*turns: tuple[str, list[str]], id: str = "aaa", **fields: object) -> Analysis:
    """An analysis of a chat whose turns stand between template tokens."""
    rows = []
    for role, said in turns:
        rows += [("<|im_start|>", "template", "prompt", True), (role, "template", "prompt", True)]
        rows += [(token, role, "prompt", False) for token in said]
        rows += [("<|im_end|>", "template", "prompt", True)]
    found = [Token.model_validate(t.model_dump() | {"id": sum(map(ord, t.text))}) for t in made.tokens(rows)]
    readings = [made.reading(t.position, fve=0.9 if t.special else 0.3) for t in found]
    given = {"tokens": found, "readings": readings, "focus": 2, "lens": None, "id": id} | fields
    return made.analysis(**given)


def test_template_tokens_are_no_pairs() -> None:
    a, b = chat(("user", ["Why", " so"])), chat(("user", ["Who", " is"]), id="bbb")
    assert aligned(a.tokens, b.tokens) == []
    assert shared_prefix(a.tokens, b.tokens) == 2


def test_what_two_speakers_say_is_no_pair() -> None:
    a = chat(("user", ["Say", " it", " now"]))
    b = chat(("assistant", ["Say", " it", " now"]), id="bbb")
    assert aligned(a.tokens, b.tokens) == []


def test_a_single_token_in_other_surroundings_is_no_pair() -> None:
    a = chat(("user", ["Dogs", " eat", " the", " bone", "."]))
    b = chat(("user", ["Paris", " was", " the", " town", "."]), id="bbb")
    assert aligned(a.tokens, b.tokens) == [(6, 6)]  # both turns end with it


def test_parts_of_a_glyph_are_not_the_same_because_they_have_no_text() -> None:
    a, b = (
        text("x", "a", "\U0001f431", "", "b"),
        text("x", "c", "\U0001f436", "", "d", id="bbb", pair="another"),
    )
    assert aligned(a.tokens, b.tokens, by_text=True) == []


def test_two_pairs_tokens_are_the_same_by_their_text() -> None:
    other = text("The", " cat", " sat", " down", id="bbb", pair="another")
    renumbered = other.model_copy(
        update={"tokens": [t.model_copy(update={"id": 9000 + t.id}) for t in other.tokens]}
    )
    assert "Both have the same 3 tokens of content." in words(page(Side(FIRST, 0), Side(renumbered, 0)))


@pytest.mark.parametrize(
    ("t", "u", "expected"),
    [(1, None, (1, 2)), (None, 2, (1, 2)), (3, None, (3, None)), (99, None, (3, None)), (None, 1, (None, 1))],
)
def test_a_pinned_token_pins_its_counterpart(
    t: int | None, u: int | None, expected: tuple[int | None, int | None]
) -> None:
    sides = compare(Side(FIRST, 0), Side(SECOND, 0), t, u).sides
    assert (sides[0].position, sides[1].position) == expected


def test_different_lengths_are_explained() -> None:
    soup = page(Side(FIRST, 0), Side(text("The", " cat", id="bbb"), 0))
    assert "A has 3 tokens of content, B 1; 1 are the same, in the same order" in words(soup)


def test_a_token_without_a_counterpart_stands_alone() -> None:
    soup = page(Side(FIRST, 0), Side(SECOND, 0), t=3)
    assert "the other text has no counterpart of this token" in words(soup.select(".panel")[1])


def test_the_same_beginning_and_the_template_count_in_no_figure() -> None:
    a = chat(("user", ["Why", " do", " cats", " purr", "?"]), ("assistant", ["They", " like", " it"]))
    changed = [r.model_copy(update={"fve": 0.2}) if r.position > 5 else r for r in a.readings]
    b = chat(
        ("user", ["Why", " do", " cats", " sing", "?"]),
        ("assistant", ["They", " like", " it"]),
        id="bbb",
        readings=changed,
    )
    context = compare(Side(a, 0), Side(b, 0), None, None)
    assert "The first 5 tokens, the template's included, are the same in both" in context.alike
    # "?" and the reply: the beginning and the template (0.9) would bring both means up.
    assert "Over the 4 content tokens that both read, A holds 30 % and B 20 %" in context.difference.replace(
        "\u202f", " "
    )


def test_two_samples_of_one_text_are_compared_over_all_its_content() -> None:
    a = chat(("user", ["Why", " do", " cats", " purr", "?"]))
    both = [*a.readings, *(r.model_copy(update={"sample": 1, "fve": 0.4}) for r in a.readings)]
    a = a.model_copy(update={"readings": both})
    assert "Over the 5 content tokens" in compare(Side(a, 0), Side(a, 1), None, None).difference


def test_where_they_differ_most_stands_first_and_pins_both() -> None:
    readings = [made.reading(n, fve=0.5 + (0.2, 0, 0.3, -0.4)[n]) for n in range(4)]
    soup = page(Side(FIRST, 0), Side(text("The", " cat", " sat", " down", id="bbb", readings=readings), 0))
    rows = [[words(cell) for cell in row.select("th, td")] for row in soup.select(".gaps tbody tr")]
    assert [row[0] for row in rows] == ["\u00b7down", "\u00b7sat", "\u00b7cat"]
    assert rows[0][1:] == ["50 %", "10 %", "+40.0 points"]
    assert soup.select(".gaps a")[0]["href"] == "/compare?a=aaa&b=bbb&sa=1&sb=1&t=3&u=3"


def test_tokens_that_the_other_lacks_are_marked() -> None:
    soup = page(Side(FIRST, 0), Side(SECOND, 0))
    assert [tag["id"] for tag in soup.select(".tok.differs")] == ["a-3", "b-1"]


def test_the_difference_has_an_interval_around_it() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.2, 0.8, (2, 41))
    tokens = [f"t{n}" for n in range(41)]
    sides = [
        Side(text(*tokens, readings=[made.reading(n, fve=float(row[n])) for n in range(41)]), 0)
        for row in scores
    ]
    said = compare(*sides, 0, None).difference
    gap = 100 * (scores[0] - scores[1])[1:]
    half = 1.96 * gap.std() / np.sqrt(40)
    found = said.replace("\u2212", "-").split("95 % interval ")[1]
    low, high = float(found.split()[0]), float(found.split(" to ")[1].split()[0])
    assert low == pytest.approx(gap.mean() - half, abs=3)
    assert high == pytest.approx(gap.mean() + half, abs=3)
    assert "runs of 4 neighbouring tokens of this one text: of other texts it says nothing" in said


def test_what_neighbours_share_widens_the_interval() -> None:
    rng = np.random.default_rng(2)
    alone = rng.normal(size=64)
    alike = np.repeat(rng.normal(size=16), 4)
    width = [(high - low) / gap.std() for gap in (alone, alike) for low, high in [interval(gap)]]
    assert width[1] > 1.4 * width[0]


def test_few_tokens_have_no_interval() -> None:
    said = compare(Side(FIRST, 0), Side(FIRST, 0), None, None).difference
    assert said.endswith("They are too few for an interval.")


def test_two_samples_of_one_analysis_stand_beside_each_other() -> None:
    readings = [Reading(position=0, sample=n, text=f"Reading number {n}.") for n in (0, 1)]
    analysis = text("The", readings=readings)
    soup = page(Side(analysis, 0), Side(analysis, 1))
    assert [words(quote) for quote in soup.select("blockquote")] == ["Reading number 0.", "Reading number 1."]
    assert words(soup.select(".facts")[1]).endswith("sample 2")


def test_what_both_say_is_marked() -> None:
    a, b = (text("The", readings=[made.reading(0, text=said)]) for said in ("Rain falls.", "Snow falls."))
    assert [words(mark) for mark in page(Side(a, 0), Side(b, 0)).select("blockquote mark")] == ["falls"] * 2


def test_an_analysis_without_tokens_says_so() -> None:
    waiting = made.analysis(status="queued", tokens=[], readings=[], lens=None, focus=None)
    soup = page(Side(FIRST, 0), Side(waiting, 0))
    assert "Its tokens are not known yet." in words(soup)


def test_each_token_is_a_link_that_pins_it() -> None:
    soup = page(Side(FIRST, 0), Side(SECOND, 0))
    assert one(soup, "#b-2")["href"] == "/compare?a=aaa&b=bbb&sa=1&sb=1&u=2"
