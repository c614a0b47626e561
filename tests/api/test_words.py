"""GET /api/analyses/{id}/lens: words beside the token that came."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from tests.api.test_analyses import done
from tests.fakes import LAYERS, FakePair

pytestmark = pytest.mark.anyio


@pytest.fixture
async def id(app: FastAPI, client: httpx.AsyncClient) -> str:
    return str((await done(app, client, {"text": "cats"}))["id"])


async def asked(client: httpx.AsyncClient, id: str, *words: str, position: Any = 1) -> httpx.Response:
    params = [("position", str(position)), *(("word", word) for word in words)]
    return await client.get(f"/api/analyses/{id}/lens", params=params)


async def test_each_word_has_a_number_for_each_layer(client: httpx.AsyncClient, id: str) -> None:
    found = (await asked(client, id, "t", "x")).json()
    assert (found["position"], found["layers"]) == (1, list(range(LAYERS)))
    assert [(word["word"], word["id"]) for word in found["words"]] == [("t", ord("t")), ("x", ord("x"))]
    assert found["words"][0]["prob"] == pytest.approx([0.1, 0.2, 0.3])
    assert found["words"][1]["rank"] == [ord("x")] * LAYERS


async def test_a_word_is_exact_unless_the_likelier_variant_is_asked_for(
    client: httpx.AsyncClient, id: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def token_curves(ids: list[int], words: list[int], *, tuned: bool = False) -> tuple[Any, Any]:
        prob = np.tile([0.5 if word == ord(" ") else 0.1 for word in words], (LAYERS, 1))
        return prob.astype(np.float32), np.ones(prob.shape, np.int32)

    monkeypatch.setattr(pair.target, "token_curves", token_curves)
    params = [("position", "1"), ("word", "t"), ("word", " t"), ("word", " ")]
    for variant, measured in (("exact", ["t", " t", " "]), ("likelier", [" t", " t", " "])):
        answer = await client.get(f"/api/analyses/{id}/lens", params=[*params, ("variant", variant)])
        found = answer.json()["words"]
        assert [word["word"] for word in found] == measured
        assert [word["typed"] for word in found] == ["t", " t", " "]
        assert [word["prob"][-1] for word in found] == pytest.approx(
            [0.1 if word == "t" else 0.5 for word in measured]
        )
    assert [word["other"] and word["other"]["word"] for word in found] == ["t", "t", None]
    assert found[0]["other"]["prob"] == pytest.approx(0.1)
    assert found[0]["other"] == found[0]["other"] | {"ids": [ord("t")], "count": 1, "variant": "plain"}


async def test_the_model_reads_the_text_up_to_the_position(
    client: httpx.AsyncClient, id: str, pair: FakePair
) -> None:
    await asked(client, id, "t")
    assert pair.target.followed == [([ord("c"), ord("a")], [ord("t"), ord(" ")])]


async def test_a_word_of_several_tokens_is_followed_by_its_first(client: httpx.AsyncClient, id: str) -> None:
    (word,) = (await asked(client, id, " 7")).json()["words"]
    assert (word["id"], word["token"], word["parts"]) == (ord(" "), " ", [" ", "7"])
    assert (word["ids"], word["count"], word["variant"]) == ([ord(" "), ord("7")], 2, "space")


@pytest.mark.parametrize(
    ("words", "position", "field"),
    [
        (["t"], 4, "position"),
        (["t"], -1, "position"),
        (["t"], "x", "position"),
        ([], 1, "word"),
        ([""], 1, "word.0"),
        (["t", "x" * 101], 1, "word.1"),
        (["a"] * 7, 1, "word"),
    ],
)
async def test_what_cannot_be_is_named(
    client: httpx.AsyncClient, id: str, words: list[str], position: Any, field: str
) -> None:
    answer = await asked(client, id, *words, position=position)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_an_analysis_of_another_pair_cannot_be_asked(
    client: httpx.AsyncClient, id: str, pair: FakePair
) -> None:
    pair.name = "elsewhere"
    answer = await asked(client, id, "t")
    assert answer.status_code == 409
    assert "This analysis is of fake" in answer.json()["detail"]


async def test_an_unknown_analysis_is_404(client: httpx.AsyncClient) -> None:
    assert (await asked(client, "nothing", "t")).status_code == 404
