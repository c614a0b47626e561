from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from server.errors import BadInput, Conflict, ModelError, NotFound, NotReady
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until
from tests.analyses.editing import (
    IDS,
    edit,
    h,
    interventions_of,
    kept,
    made,
    refused,
)
from tests.conftest import running
from tests.fakes import FakePair, FakeSource, held, text_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"position": 99}, "position"),
        ({"until": 2}, "until"),
        ({"until": 99}, "until"),
        ({"mode": "steer", "sample": 1}, "delta"),
        ({"mode": "steer", "alpha": 0}, "alpha"),
        ({"mode": "steer", "text": text_of(h(3))}, "text"),
        ({"mode": "steer", "delta": "activation", "text": text_of(h(3))}, "text"),
        ({"generate": {"max_new_tokens": 9999}}, "generate.max_new_tokens"),
        ({"gold": {"analysis": "nobody", "position": 0}}, "gold.analysis"),
    ],
)
async def test_what_cannot_be_done_names_its_field(
    app: FastAPI, id: str, pair: FakePair, more: dict[str, Any], field: str
) -> None:
    assert (await refused(app, id, **more))[0] == field
    assert pair.target.patched == []
    assert await kept(app) == 0


async def test_gold_must_be_there(app: FastAPI, id: str, pair: FakePair) -> None:
    assert await refused(app, id, gold={"analysis": id, "position": 99}) == (
        "gold.position",
        "It ends at position 16.",
    )
    pair.verbaliser.limit(0)
    with held(pair.target.hold):
        young = (await analyses_of(app).create(chat("dogs", generate={})))[0].id
        field, detail = await refused(app, id, gold={"analysis": young, "position": 0})
    assert (field, detail) == ("gold.analysis", "It has no activations yet.")


async def test_the_reply_must_fit_into_the_model(app: FastAPI, id: str, pair: FakePair) -> None:
    pair.target.max_tokens = len(IDS) + 5
    field, detail = await refused(app, id, generate={"max_new_tokens": 6})
    assert field == "generate.max_new_tokens"
    assert f"more than the {len(IDS) + 5}" in detail


async def test_words_of_too_many_tokens_are_refused_before_a_model_is_asked(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    asked = len(pair.reconstructor.batches)
    field, detail = await refused(app, id, text="x" * 513)
    assert field == "text"
    assert "513 tokens; this server gives the AR up to 512 of one text" in detail
    assert len(pair.reconstructor.batches) == asked


async def test_words_that_are_too_long_for_the_ar_are_named_as_text(
    app: FastAPI, id: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reconstruct(_: object) -> None:
        raise BadInput("texts.0", "The text has 999 tokens, the AR reads 512 at most.")

    monkeypatch.setattr(pair.reconstructor, "reconstruct", reconstruct)
    assert await refused(app, id) == ("text", "The text has 999 tokens, the AR reads 512 at most.")


async def test_an_ar_that_makes_nothing_is_told_as_its_fault(
    app: FastAPI, id: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reconstruct(texts: Sequence[str]) -> Any:
        return np.zeros((len(texts), 8), np.float32)

    monkeypatch.setattr(pair.reconstructor, "reconstruct", reconstruct)
    with pytest.raises(ModelError, match="no direction of these words"):
        await made(app, id)


@pytest.mark.parametrize("alpha", [float("nan"), float("inf"), 101])
def test_a_step_is_a_number_of_some_size(alpha: float) -> None:
    with pytest.raises(ValidationError):
        edit(mode="steer", alpha=alpha)


async def test_there_must_be_tokens_and_activations(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        id = (await analyses_of(app).create(chat(generate={})))[0].id
        with pytest.raises(Conflict, match="tokens are not known"):
            await made(app, id)
        with held(source.pair.target.hold):
            source.loads.set()
            await until(analyses_of(app), id, "tokens")
            with pytest.raises(Conflict, match="activations are not known"):
                await made(app, id)


async def test_the_pair_must_be_here_and_resident(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app:
        id = (await finish(analyses_of(app), chat())).id
        before = await made(app, id)
    other = FakeSource(FakePair(name="other"), FakePair())
    async with running(settings.model_copy(update={"pair": "other"}), other) as app:
        with pytest.raises(Conflict, match="is of fake, which this server does not have"):
            await made(app, id, text="about cats")
        assert await made(app, id) == before  # nothing has to be computed for it
    both = settings.model_copy(update={"pair": "other", "extra_pairs": "fake"})
    async with running(both, FakeSource(FakePair(name="other"), FakePair())) as app:
        with pytest.raises(NotReady, match="The pair fake is not resident"):
            await made(app, id, text="about cats")


async def test_an_analysis_that_is_not_there_has_none(app: FastAPI, id: str) -> None:
    found = await made(app, id)
    other = (await finish(analyses_of(app), chat("dogs"))).id
    for analysis, intervention in (("nobody", found.id), (other, found.id), (id, "nobody"), (id, "\0")):
        with pytest.raises(NotFound):
            await interventions_of(app).get(analysis, intervention)
        with pytest.raises(NotFound):
            await interventions_of(app).delete(analysis, intervention)
    with pytest.raises(NotFound):
        await made(app, "nobody")


async def test_an_analysis_by_other_weights_is_not_edited(app: FastAPI, id: str, pair: FakePair) -> None:
    pair.fingerprint = "newer"
    with pytest.raises(Conflict, match="other weights of fake"):
        await made(app, id)
    assert pair.target.patched == []
