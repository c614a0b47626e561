"""The figure of the layers and the lens map, as they stand on the page."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.analysis.view import View
from frontend.lens.lens_map import map_table
from frontend.view_state import ViewState
from server.analyses.word_curves import OtherVariant, WordCurve
from tests.frontend import made
from tests.frontend.parsed import curve, one, page, words

AT_END = len(made.CHAT) - 1


def word(text: str, *parts: str, layers: int = made.LAYERS, other: str = "") -> WordCurve:
    tokens = {"id": 7, "token": parts[0], "parts": [*parts]}
    found = WordCurve(word=text, typed=text, prob=[0.25] * layers, rank=[3] * layers, **tokens)
    if other:
        variant = "space" if other.startswith(" ") else "plain"
        found.other = OtherVariant(word=other, prob=0.0005, rank=900, variant=variant, **tokens)
    return found


def looked(view_state: ViewState, **fields: object) -> BeautifulSoup:
    return page(made.analysis(), view_state=view_state, **fields)


def test_a_pinned_tokens_curve_stays_beside_the_others() -> None:
    soup = looked(ViewState(t=12, pins=(8,)))
    assert len(curve(soup)["series"]) == 2
    assert [words(key) for key in soup.select(".lines bdi")] == ["⏎", "·they"]


def test_a_compared_word_has_a_line_and_a_way_to_take_it_away() -> None:
    soup = looked(ViewState(t=12, words=(" 7",)), words=[word(" 7", " 7")])
    assert "25 %, rank 4" in words(one(soup, ".lines"))
    assert one(soup, ".lines .away")["href"] == "/a/abc123?t=12"


def test_a_word_of_several_tokens_says_which_is_followed() -> None:
    soup = looked(ViewState(t=12, words=(" purrs",)), words=[word(" purrs", " p", "urrs")])
    assert "·purrs is 2 tokens (·p, urrs): the line follows the first." in words(one(soup, ".layers"))


def test_a_word_of_several_tokens_is_named_so_in_key_and_table() -> None:
    soup = looked(ViewState(t=12, words=(" 168",)), words=[word(" 168", " ", "1", "6", "8")])
    label = "·168, first of 4 tokens"
    assert label.replace(",", "") in words(one(soup, ".lines"))
    assert label in [words(th) for th in soup.select(".layers thead th")]
    assert curve(soup)["series"][1]["name"] == label


def test_the_variant_that_is_not_measured_is_said_and_one_click_away() -> None:
    soup = looked(ViewState(t=12, words=("a", " Paris")), words=[word(" Paris", " Paris", other="Paris")])
    key = one(soup, ".lines li:has(.away)")
    assert "·Paris compared without the space Paris 0.05 % 25 %, rank 4" in words(key).replace("\u202f", " ")
    assert one(key, "a[title]")["href"] == "/a/abc123?t=12&w=a&w=Paris"


def test_the_likeliest_tokens_are_compared_by_one_click() -> None:
    soup = looked(ViewState(t=12, words=(" the",)))
    links = {words(a): a["href"] for a in soup.select(".likeliest a")}
    assert list(links) == ["·sleep", "?"]  # the token that came has a line, and so has what is compared
    assert links["·sleep"] == "/a/abc123?t=12&w=+the&w=+sleep"


def test_enough_words_are_enough() -> None:
    assert not looked(ViewState(t=12, words=tuple("abcdef"))).select(".likeliest, .ask")


def test_words_that_cannot_be_compared_say_why() -> None:
    soup = looked(ViewState(t=12, words=(" 7",)), words_note="The pair is loading.")
    assert "The pair is loading." in words(one(soup, ".layers"))


def test_a_pin_beyond_the_text_is_said_and_left_out() -> None:
    soup = looked(ViewState(t=12, pins=(999,)))
    assert f"There is no position 999 to pin: the text ends at {AT_END}." in words(one(soup, ".layers"))
    assert len(curve(soup)["series"]) == 1


def test_the_scale_can_be_changed_and_all_else_stays() -> None:
    soup = looked(ViewState(t=12, pins=(8,), scale="rank"))
    links = {words(a): a["href"] for a in soup.select(".layers .choices a")}
    assert links["probability, logarithmic"] == "/a/abc123?t=12&p=8&scale=log"
    assert words(one(soup, ".layers .choices [aria-current]")) == "rank"


def test_the_layer_that_is_read_is_shown_until_another_is_chosen() -> None:
    assert words(one(looked(ViewState(t=12)), ".cell h3")) == "After <|im_end|>, layer 20 guesses"
    assert words(one(looked(ViewState(t=12, layer=3)), ".cell h3")) == "After <|im_end|>, layer 3 guesses"


def test_a_layer_above_the_last_is_the_output() -> None:
    assert (
        words(one(looked(ViewState(t=12, layer=500)), ".cell h3"))
        == "After <|im_end|>, the model's output guesses"
    )


def test_guesses_are_escaped() -> None:
    assert "<script>alert" not in str(one(looked(ViewState(t=12)), ".cell"))


def test_every_line_is_in_the_table_too() -> None:
    soup = looked(ViewState(t=12, pins=(8,)), words=[word(" 7", " 7")])
    header = soup.select(".layers table thead th")
    assert [words(th) for th in header] == [
        "layer",
        "⏎",
        "rank",
        "·they",
        "rank",
        "·7",
        "rank",
        "first guess",
    ]


def test_the_map_asks_for_its_numbers_by_metric() -> None:
    tag = one(looked(ViewState(t=12, metric="kl")), "lens-map")
    assert (tag["source"], tag["position"], tag["row"]) == ("/a/abc123/cells?metric=kl", "12", "20")


def test_without_a_lens_the_map_says_so() -> None:
    soup = page(made.analysis(status="running", lens=None, readings=[]))
    assert not soup.select("lens-map")
    assert "The layers are being read." in words(one(soup, "#lens"))


@pytest.mark.parametrize(
    ("metric", "cell"), [("rank", "1"), ("top", "·sleep"), ("prob", "100 %"), ("kl", "0.00")]
)
def test_the_map_has_a_table_twin(metric: str, cell: str) -> None:
    analysis = made.analysis()
    assert analysis.lens is not None
    analysis.lens.prob[-1, 12], analysis.lens.rank[-1, 12], analysis.lens.kl[-1, 12] = 1.0, 0, 0.0
    context = map_table(View(analysis, ViewState(t=12, metric=metric)))
    soup = BeautifulSoup(templating.render("lens/table.html", context), "html.parser")
    assert len(soup.select("tbody tr")) == made.LAYERS
    assert words(one(soup, "tbody tr.output td.pinned")).replace("\u202f", " ") == cell
