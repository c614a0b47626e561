"""Two analyses beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.compare import Side, aligned, compare
from frontend.contexts.compare import ComparePage
from server.analyses.schema import Analysis, Reading, Token
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
    return BeautifulSoup(templating.render("compare.html", context), "html.parser")


FIRST = text("The", " cat", " sat", " down")
SECOND = text("The", " big", " cat", " sat", id="bbb")


def test_the_same_tokens_in_the_same_order_are_paired() -> None:
    assert aligned(FIRST.tokens, SECOND.tokens) == [(0, 0), (1, 2), (2, 3)]


def test_two_pairs_tokens_are_the_same_by_their_text() -> None:
    other = text("The", " cat", " sat", " down", id="bbb", pair="another")
    renumbered = other.model_copy(
        update={"tokens": [t.model_copy(update={"id": 9000 + t.id}) for t in other.tokens]}
    )
    assert "Both have the same 4 tokens." in words(page(Side(FIRST, 0), Side(renumbered, 0)))


@pytest.mark.parametrize(
    ("t", "u", "expected"), [(1, None, (1, 2)), (None, 2, (1, 2)), (3, None, (3, 3)), (99, None, (3, 3))]
)
def test_a_pinned_token_pins_its_counterpart(t: int | None, u: int | None, expected: tuple[int, int]) -> None:
    sides = compare(Side(FIRST, 0), Side(SECOND, 0), t, u).sides
    assert (sides[0].position, sides[1].position) == expected


def test_different_lengths_are_explained() -> None:
    soup = page(Side(FIRST, 0), Side(text("The", " cat", id="bbb"), 0))
    assert "A has 4 tokens, B 2; 2 are the same in the same order." in words(soup)


def test_tokens_that_the_other_lacks_are_marked() -> None:
    soup = page(Side(FIRST, 0), Side(SECOND, 0))
    assert [tag["id"] for tag in soup.select(".tok.differs")] == ["a-3", "b-1"]


def test_the_difference_has_an_interval_around_it() -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.2, 0.8, (2, 40))
    tokens = [f"t{n}" for n in range(40)]
    sides = [
        Side(text(*tokens, readings=[made.reading(n, fve=float(row[n])) for n in range(40)]), 0)
        for row in scores
    ]
    said = compare(*sides, 0, None).difference
    gap = 100 * (scores[0] - scores[1])
    half = 1.96 * gap.std() / np.sqrt(40)
    found = said.replace("\u2212", "-").split("95 % interval ")[1]
    low, high = float(found.split()[0]), float(found.split(" to ")[1].split()[0])
    assert low == pytest.approx(gap.mean() - half, abs=1.2)
    assert high == pytest.approx(gap.mean() + half, abs=1.2)


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
