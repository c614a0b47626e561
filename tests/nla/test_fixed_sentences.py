"""Readings in fixed sentences, taken apart."""

from __future__ import annotations

import pytest

from server.nla.checkpoints.cards import demo_card
from server.nla.fixed_sentences import Said, taken_apart

FORMS = demo_card().sentences


def test_a_reading_of_the_demo_pair_comes_apart() -> None:
    reading = (
        'The final token is " is"; next may be " a", " the" or a line break: the first is a guess. '
        'It reads like "He said "so". It is".'
    )
    assert taken_apart(reading, FORMS) == [
        Said("final token", ['" is"']),
        Said("next tokens", ['" a"', '" the"', "a line break"]),
        Said("how sure", ["a guess"]),
        Said("recent words", ['He said "so". It is']),
    ]


def test_the_first_form_that_fits_is_taken() -> None:
    reading = "The final token is the end-of-turn mark; next may be a blank: the first is likely. It opens the text."
    assert [said.name for said in taken_apart(reading, FORMS)] == [
        "final token",
        "next tokens",
        "how sure",
    ]


@pytest.mark.parametrize(
    "reading",
    [
        "",
        "Cats.",
        "The final token is ",
        'The final token is "a"; next may be "b": the first is . It reads like "a".',
    ],
)
def test_other_words_stay_whole(reading: str) -> None:
    assert taken_apart(reading, FORMS) == []


def test_a_pair_without_forms_has_no_brief_reading() -> None:
    assert taken_apart("The final token is x.", ()) == []


@pytest.mark.parametrize(
    ("listed", "items"),
    [
        ('" a", " the" or " not"', ['" a"', '" the"', '" not"']),
        ('",", "." or a line break', ['","', '"."', "a line break"]),
        ('a line break, "." or a blank', ["a line break", '"."', "a blank"]),
        ("a blank, a line break or 3 blanks", ["a blank", "a line break", "3 blanks"]),
        ('" or", " ,", " "" or """', ['" or"', '" ,"', '" ""', '"""']),
        ("the end-of-turn mark", ["the end-of-turn mark"]),
    ],
)
def test_a_list_has_the_items_that_it_names(listed: str, items: list[str]) -> None:
    assert taken_apart(f"Next {listed}.", ["Next {next[]}."]) == [Said("next", items)]
