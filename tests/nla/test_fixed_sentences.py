"""Readings in fixed sentences, taken apart."""

from __future__ import annotations

import pytest

from server.nla.checkpoints.cards import demo_card
from server.nla.fixed_sentences import Said, taken_apart

FORMS = demo_card().sentences


def test_a_reading_of_the_demo_pair_comes_apart() -> None:
    reading = (
        'The final token is " is"; next perhaps " a", " the" or a line break. The text runs "He said "so". It is". '
        "This is the assistant's story."
    )
    assert taken_apart(reading, FORMS) == [
        Said("final token", ['" is"']),
        Said("how sure", ["perhaps"]),
        Said("next tokens", ['" a"', '" the"', "a line break"]),
        Said("recent words", ['He said "so". It is']),
        Said("setting", ["the assistant's story"]),
    ]


def test_the_first_form_that_fits_is_taken() -> None:
    reading = (
        "The final token is the end-of-turn mark; next comes a blank. It opens the text. This is plain text."
    )
    assert [said.name for said in taken_apart(reading, FORMS)] == [
        "final token",
        "how sure",
        "next tokens",
        "setting",
    ]


@pytest.mark.parametrize(
    "reading",
    [
        "",
        "Cats.",
        "The final token is ",
        'The final token is "a"; next comes "b". The text runs "a". This is .',
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
