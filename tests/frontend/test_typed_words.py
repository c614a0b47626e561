"""Words as they are typed on the page, and the exact words that are measured."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from frontend.lens.typed_words import TypedWord, typed_word, typed_words
from tests.fakes import LAYERS, FakePair
from tests.frontend.test_edit_routes import address as finished_analysis
from tests.frontend.test_edit_routes import edit

address = finished_analysis
SCRIPTED = {"hx-request": "true"}


@pytest.mark.parametrize(
    ("typed", "text", "exact"),
    [
        ("Paris", "Paris", False),
        ("Paris ", "Paris", False),
        (" Paris", " Paris", True),
        ("\u00b7Paris", " Paris", True),
        (" \u2423Paris", " Paris", True),
        ("  two", "  two", True),
        (" ", " ", True),
        ("\n", "\n", True),
        ("New York", "New York", False),
    ],
)
def test_a_space_that_was_typed_is_kept(typed: str, text: str, exact: bool) -> None:
    assert typed_word(typed) == TypedWord(text, exact)


def test_of_words_with_commas_between_them_the_first_keeps_its_space() -> None:
    assert typed_words(" Paris, Rome,Oslo ,, \u00b7Bonn,  Bern") == [
        TypedWord(" Paris", True),
        TypedWord("Rome", False),
        TypedWord("Oslo", False),
        TypedWord(" Bonn", True),
        TypedWord(" Bern", True),
    ]


@pytest.fixture
def spaced(pair: FakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that finds a space likelier than any letter but x."""

    async def token_curves(ids: list[int], words: list[int], *, tuned: bool = False) -> tuple[object, object]:
        prob = np.tile(
            [0.5 if id == ord(" ") else 0.9 if id == ord("x") else 0.1 for id in words], (LAYERS, 1)
        )
        return prob.astype(np.float32), np.zeros(prob.shape, np.int32)

    monkeypatch.setattr(pair.target, "token_curves", token_curves)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("typed", "w"), [("Paris", "+Paris"), ("xylophone", "xylophone"), ("+xylophone", "+xylophone")]
)
async def test_a_typed_word_leads_to_the_address_of_the_likelier_variant(
    client: httpx.AsyncClient, address: str, spaced: None, typed: str, w: str
) -> None:
    answer = await client.get(f"{address}?t=3&w=a&typed={typed}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}?t=3&w=a&w={w}")
    answer = await client.get(f"{address}/panel?t=3&w=a&typed={typed}", headers=SCRIPTED)
    assert answer.headers["hx-push-url"] == f"{address}?t=3&w=a&w={w}"


@pytest.mark.anyio
async def test_an_address_means_the_exact_words_that_it_names(
    client: httpx.AsyncClient, address: str, spaced: None
) -> None:
    answer = await client.get(f"{address}?t=3&w=Paris")
    assert answer.status_code == 200
    assert "with a space" in answer.text  # the likelier one is offered, not taken


@pytest.mark.anyio
async def test_a_word_that_cannot_be_tried_yet_waits_in_the_address(
    client: httpx.AsyncClient, address: str, pair: FakePair
) -> None:
    pair.name = "elsewhere"
    answer = await client.get(f"{address}?t=3&typed=Paris")
    assert answer.status_code == 200
    assert "The words cannot be compared now" in answer.text


@pytest.mark.anyio
async def test_words_to_watch_are_taken_in_their_likelier_variant(
    client: httpx.AsyncClient, address: str, spaced: None
) -> None:
    chosen = {"target-0": ",", "target-2": "Rome"}
    made = await edit(client, address, watch=" Paris, Rome, xylophone,\u00b7xenon", **chosen)
    id = made.headers["location"].rpartition("=")[2]
    found = (await client.get(f"/api{address.replace('/a/', '/analyses/')}/interventions/{id}")).json()
    assert found["request"]["targets"] == [",", "Rome", " Paris", " Rome", "xylophone", " xenon"]
