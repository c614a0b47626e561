from __future__ import annotations

import pytest

from frontend import formatting
from frontend.formatting import Bit


@pytest.mark.parametrize(
    ("fve", "cos", "words"),
    [
        (0.623, 0.9, "holds 62\u202f% of the activation"),
        (1.0, 1.0, "holds 100\u202f% of the activation"),
        (0.004, 0.6, "holds none of the activation"),
        (-1.3, 0.1, "holds none of the activation"),
        (None, 0.871, "has cosine 0.87 with the activation"),
        (None, None, ""),
    ],
)
def test_a_score_is_said_in_words(fve: float | None, cos: float | None, words: str) -> None:
    assert formatting.headline(fve, cos) == words


def test_the_nearest_activation_is_said_to_be_the_nearest() -> None:
    assert formatting.rank_sentence(1, 57, 80).startswith("Nearest of 57 content tokens")


def test_a_worse_rank_counts_those_before_it() -> None:
    assert "2 other activations" in formatting.rank_sentence(3, 57, 80)


def test_rank_two_is_grammatical() -> None:
    assert "one other activation is closer" in formatting.rank_sentence(2, 57, 80)


def test_no_rank_says_nothing() -> None:
    assert formatting.rank_sentence(None, 57, 80) == ""


def test_a_rank_of_an_earlier_version_is_among_all_tokens() -> None:
    assert formatting.rank_sentence(1, None, 80).startswith("Nearest of 80 tokens (the template's included)")


@pytest.mark.parametrize(("fve", "colour"), [(-2.0, 0), (0.0, 0), (0.09, 0), (0.1, 1), (0.62, 6), (1.0, 9)])
def test_colours_are_ten_even_steps(fve: float, colour: int) -> None:
    assert formatting.score_bin(fve, None) == colour


def test_without_the_variance_the_cosine_colours() -> None:
    assert formatting.score_bin(None, 0.95) == 9


def test_an_unscored_reading_has_no_colour() -> None:
    assert formatting.score_bin(None, None) is None


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        (" sleep", [Bit("space", " "), Bit("text", "sleep")]),
        ("\n\n", [Bit("newline", "\n"), Bit("newline", "\n")]),
        ("\t", [Bit("tab", "\t")]),
        (" " * 5000, [Bit("run", "\u00b7\u00d75000")]),
        ("a\x00b", [Bit("text", "a"), Bit("control", "\u2400"), Bit("text", "b")]),
        ("\u202eevil", [Bit("control", "\u27e8U+202E\u27e9"), Bit("text", "evil")]),
        ("\r\u2028", [Bit("control", "\u240d"), Bit("newline", "\u2028")]),
        ("", []),
    ],
)
def test_what_cannot_be_seen_is_drawn(text: str, bits: list[Bit]) -> None:
    assert formatting.visible(text) == bits


def test_plain_text_keeps_lines_and_loses_control_characters() -> None:
    assert formatting.plain("a\r\nb\x00\u2028c\td") == "a\nb\u2400\nc\td"


@pytest.mark.parametrize(
    ("text", "way"),
    [("cat", "ltr"), ("\u0642\u0637", "rtl"), ("7: \u0642\u0637", "rtl"), ("\U0001f431 7", "ltr")],
)
def test_direction_follows_the_first_letter(text: str, way: str) -> None:
    assert formatting.direction(text) == way


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0, ""), (3, "a few seconds"), (42, "about 40\u202fs"), (200, "about 3\u202fmin")],
)
def test_time_left_is_an_estimate(seconds: float | None, words: str) -> None:
    assert formatting.duration(seconds) == words


def test_a_quoted_token_shows_its_blanks() -> None:
    assert formatting.quoted(" a b\n") == "\u00b7a b\u23ce"


def test_a_long_token_is_cut() -> None:
    assert formatting.quoted("x" * 100, 10) == "x" * 9 + "\u2026"


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.62, "62\u202f%"),
        (0.0004, "0.04\u202f%"),
        (2.1e-7, "2 \u00d7 10\u207b\u2077"),
        (9.7e-6, "1 \u00d7 10\u207b\u2075"),
    ],
)
def test_a_small_probability_is_one_digit_and_a_power(probability: float, words: str) -> None:
    assert formatting.small(probability) == words


def test_a_word_without_end_is_known() -> None:
    assert not formatting.is_endless("a word and " * 1000)
    assert formatting.is_endless("a " + "w" * 1001)
