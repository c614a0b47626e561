"""What is said of a pair comes from its card; of one without a card nothing is claimed."""

from __future__ import annotations

import re

import pytest

from frontend.analysis.flags import flag
from server.nla.checkpoints import cards
from server.nla.checkpoints.card import Card
from tests.frontend import made
from tests.frontend.parsed import one, page, words

DEMO, RELEASED = cards.demo_card().brief, cards.RELEASED["qwen2.5-7b-l20"].brief
CLAIM = re.compile("were not in|less reliable|trained on later|pair was trained on (such|positions)|truer")


@pytest.mark.parametrize("name", ["early", "template", "end-of-turn", "huge-norm", "glyph-part"])
@pytest.mark.parametrize("card", [None, Card()])
def test_of_a_pair_without_a_card_nothing_is_claimed(name: str, card: Card | None) -> None:
    assert not CLAIM.search(flag(name, 3, card).sentence.replace("whether the pair was trained", ""))


def test_the_demo_was_trained_on_early_positions_and_on_template_tokens() -> None:
    assert "was trained on such positions too" in flag("early", 3, DEMO).sentence
    assert "positions from 1 on, and this is position 0" in flag("early", 0, DEMO).sentence
    for name in ("template", "end-of-turn"):
        assert "was trained on such tokens too" in flag(name, 3, DEMO).sentence


def test_the_released_pairs_were_not() -> None:
    assert "positions from 50 on, and this is position 3" in flag("early", 3, RELEASED).sentence
    for name in ("template", "end-of-turn"):
        assert "were not in the pair's training data" in flag(name, 3, RELEASED).sentence


@pytest.mark.parametrize("card", [None, DEMO, RELEASED])
def test_the_panel_says_of_the_pair_what_its_card_says(card: Card | None) -> None:
    soup = page(made.analysis(card=card), 3)
    what = words(one(soup, "#panel .what"))
    assert (" ".join(DEMO.readings.split()) in what) == (card is DEMO)
    assert ("not known here which" in what) == (card is not DEMO)
    assert "truer" not in words(soup)
    assert flag("early", 3, card).sentence in words(one(soup, "#panel .flags"))


def test_an_unknown_flag_names_itself() -> None:
    assert flag("odd-thing", 3, None).title == "Odd thing"
