"""Quick edits: words swapped everywhere, sentences left out."""

from __future__ import annotations

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend.edits.contexts import EditForm
from frontend.edits.quick_edits import quick_edit, swapped
from tests.api.test_analyses import done


@pytest.mark.parametrize(
    ("text", "word", "other", "found"),
    [
        ("Cats purr. A cat, CAT or cats.", "cat", "dog", "Cats purr. A dog, DOG or cats."),
        ("Paris, in paris", "paris", "rome", "Rome, in rome"),
        ("166 and 6, not 7", "6", "7", "177 and 7, not 7"),
        ('next comes "6".', '"6"', '"7"', 'next comes "7".'),
        ("a big cat", "big", "", "a cat"),
        ("1+1 (x)", "(x)", r"\1", r"1+1 \1"),
        ("l'été", "été", "hiver", "l'hiver"),
    ],
)
def test_a_word_is_swapped_everywhere(text: str, word: str, other: str, found: str) -> None:
    assert swapped(text, word, other) == found


def test_a_sentence_is_left_out() -> None:
    form = EditForm(text="One is here. Two. Three!")
    assert quick_edit(form, {"quick": "1"}).text == "One is here. Three!"
    assert quick_edit(form, {"quick": "2"}).text == "One is here. Two."


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"quick": "swap"}, "swap"),
        ({"quick": "swap", "swap": "dogs"}, "swap"),
        ({"quick": "7"}, "form"),
        ({"quick": "-1"}, "form"),
        ({"quick": "²"}, "form"),
        ({}, "form"),
    ],
)
def test_what_cannot_be_done_leaves_the_words_as_they_are(fields: dict[str, str], place: str) -> None:
    form = quick_edit(EditForm(text="Only this."), fields)
    assert form.text == "Only this." and list(form.errors) == [place]


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
async def test_the_form_comes_back_with_the_change_marked(
    app: FastAPI, client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    id = (await done(app, client, {"text": "cats purr"}))["id"]
    page = BeautifulSoup((await client.get(f"/a/{id}?t=3")).text, "html.parser")
    action = page.select_one("button[name=quick]")["formaction"]
    asked = {"text": "One <b>6</b>. Two.", "quick": "swap", "swap": "6", "swap_with": "7", "mode": "steer"}
    answer = await client.post(action, data=asked, headers=headers)
    assert answer.status_code == 200
    form = BeautifulSoup(answer.text, "html.parser").select_one("form.edit")
    assert form.textarea.text.strip() == "One <b>7</b>. Two."
    assert form.select_one(".word-diff ins") is not None
    assert [option["value"] for option in form.select("[name=mode] [selected]")] == ["steer"]
    assert [button["value"] for button in form.select("button[name=quick]")] == ["swap", "0", "1"]
    refused = await client.post(action, data={**asked, "swap": "zebra"}, headers=headers)
    assert refused.status_code == 422 and "is not in these words" in refused.text
