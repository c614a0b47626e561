"""What an edit changes, word by word."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from frontend import templating
from frontend.analysis.view import View
from frontend.edits import edit_context
from frontend.edits.word_diff import word_diff
from tests.frontend import made
from tests.frontend.parsed import one, words
from tests.frontend.test_edits import intervention


def marked(original: str | None, edited: str) -> str:
    """The diff with deletions in [-…-] and insertions in [+…+]."""
    signs = {"same": "{}", "deleted": "[-{}-]", "inserted": "[+{}+]"}
    return "".join(signs[s.kind].format(s.text) for s in word_diff(original, edited).stretches)


@pytest.mark.parametrize(
    ("original", "edited", "expected"),
    [
        ("The capital is Paris.", "The capital is Rome.", "The capital is [-Paris-][+Rome+]."),
        ("a b c", "a c", "a[- b-] c"),
        ("a c", "a b c", "a[+ b+] c"),
        ("The end", "end", "[-The -]end"),
        ("a b", "a b\n", "a b[+\n+]"),
        ("one two three", "ten eleven twelve", "[-one two three-][+ten eleven twelve+]"),
        ("“sleep”", "“dog”", "“[-sleep-][+dog+]”"),
        ("北京是首都", "上海是首都", "[-北京-][+上海+]是首都"),
        ("snake_case", "snake_cases", "[-snake_case-][+snake_cases+]"),
        ("", "new", "[+new+]"),
        ("old", "", "[-old-]"),
        ("a\nb", "a\n\nb", "a\n[+\n+]b"),
        (None, "new words", "[+new words+]"),
    ],
)
def test_words_that_go_and_words_that_come(original: str | None, edited: str, expected: str) -> None:
    assert marked(original, edited) == expected


@pytest.mark.parametrize(
    "text", ["Zürich _a_b! ไทย かな 漢字\t\n \u00a0…", "a" * 50, "\U0001f431\u200d\U0001f431"]
)
def test_no_character_is_lost(text: str) -> None:
    edited = text.replace("a", "b") + " end"
    found = word_diff(text, edited).stretches
    assert "".join(s.text for s in found if s.kind != "inserted") == text
    assert "".join(s.text for s in found if s.kind != "deleted") == edited


@pytest.mark.parametrize(
    ("original", "edited", "note"),
    [
        ("a b", "a  b", "Only blanks and line ends differ."),
        ("a b", "a b", "These are the reading's own words, unchanged."),
        (None, "a b", "There was no reading here: all of these words are new."),
        ("a b", "a c", ""),
    ],
)
def test_what_cannot_be_seen_is_said(original: str | None, edited: str, note: str) -> None:
    assert word_diff(original, edited).note == note


def test_long_texts_of_few_words_are_compared_by_their_beginnings_and_ends() -> None:
    assert marked("c " + "a b " * 2000 + "d", "c " + "b e " * 2000 + "d") == (
        "c [-" + "a b " * 1999 + "a b-][+" + "b e " * 1999 + "b e+] d"
    )


def test_an_edit_shows_first_what_was_edited() -> None:
    view = View(made.analysis())
    evil = "The final token is <b>“dog”</b>."
    request = intervention().request.model_copy(update={"text": evil})
    html = templating.fragment(
        "edits/result.edited", edit_context.result(view, intervention(request=request))
    )
    article = one(BeautifulSoup(html, "html.parser"), ".edited")
    shown = one(article, ".word-diff")
    assert article.find(True) == shown
    assert [words(tag) for tag in shown.select("del")] == ["sleep"]
    assert [words(tag) for tag in shown.select("ins")] == ["<b>", "dog", "</b>"]
    assert not shown.select("b")
