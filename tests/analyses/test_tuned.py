"""The tuned lens of an analysis: made after the readings, kept, told, and asked for words."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from server.analyses.lens_table import LensTable
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.api.test_analyses import done
from tests.conftest import running
from tests.fakes import FakePair, FakeSource, lens_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def pair(source: FakeSource) -> FakePair:
    """A pair whose target has translators."""
    source.pair.target.has_tuned_lens = True
    return source.pair


def expected(count: int) -> Any:
    return lens_of(range(count + 1), count).prob


async def test_it_is_kept_beside_the_plain_one(
    settings: Settings, pair: FakePair, source: FakeSource
) -> None:
    async with running(settings, source) as app:
        live = await finish(analyses_of(app), chat("cats"))
    async with running(settings, FakeSource()) as app:  # from the store alone
        kept = await analyses_of(app).get(live.id)
    assert kept.tuned_lens is not None and kept.lens is not None
    np.testing.assert_array_equal(kept.tuned_lens.prob, expected(len(kept.tokens)))
    assert not np.array_equal(kept.tuned_lens.prob, kept.lens.prob)


async def test_it_comes_after_the_readings(app: FastAPI, pair: FakePair) -> None:
    analysis, _ = await analyses_of(app).create(chat("cats"))
    kinds = [event.kind for event in await watch(analyses_of(app), analysis.id)]
    rest = [kind for kind in kinds[kinds.index("tuned_lens") :] if kind != "progress"]
    assert rest == ["tuned_lens", "done"]


async def test_a_later_run_makes_it_of_what_an_earlier_one_kept(
    settings: Settings, pair: FakePair, source: FakeSource
) -> None:
    async with running(settings, source) as app:
        pair.verbaliser.limit(2)
        analysis, _ = await analyses_of(app).create(chat("cats"))
        await until(analyses_of(app), analysis.id, "progress", stage="readings", done=2)
    after = FakeSource()
    after.pair.target.has_tuned_lens = True
    async with running(settings, after) as app:
        await watch(analyses_of(app), analysis.id)
        assert (await analyses_of(app).get(analysis.id)).tuned_lens is not None
    assert after.pair.target.traced == []


async def test_readings_and_baselines_stand_where_it_cannot_be_made(app: FastAPI, pair: FakePair) -> None:
    pair.target.untunable = "out of memory"
    analysis = await finish(analyses_of(app), chat("cats"))
    assert (analysis.status, analysis.error) == ("failed", "out of memory")
    assert all(reading.cos is not None for reading in analysis.readings)
    assert analysis.baselines is not None and analysis.lens is not None


async def test_what_was_kept_is_not_made_again(
    settings: Settings, pair: FakePair, source: FakeSource
) -> None:
    pair.target.untunable = "out of memory"
    async with running(settings, source) as app:
        failed = await finish(analyses_of(app), chat("cats"))
        pair.target.untunable = None
        again = await finish(analyses_of(app), chat("cats"))
    assert (again.id, again.status) == (failed.id, "done")
    assert again.tuned_lens is not None
    assert len(pair.target.traced) == 1


async def test_events_tell_it_with_the_same_id_live_and_replayed(app: FastAPI, pair: FakePair) -> None:
    analysis, _ = await analyses_of(app).create(chat("cats"))
    live = await watch(analyses_of(app), analysis.id)
    (event,) = [event for event in live if event.kind == "tuned_lens"]
    assert isinstance(event.data, LensTable)
    replayed = await watch(analyses_of(app), analysis.id)
    assert [e.id for e in replayed if e.kind == "tuned_lens"] == [event.id]
    assert len({e.id for e in replayed}) == len(replayed)


async def test_the_answer_has_it_in_the_shape_of_the_plain_one(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    body = await done(app, client, {"text": "cats"})
    assert set(body["tuned_lens"]) == set(body["lens"])
    assert body["tuned_lens"]["prob"][1] == pytest.approx(expected(4)[1].tolist(), abs=1e-6)


async def test_words_are_asked_of_it(app: FastAPI, client: httpx.AsyncClient, pair: FakePair) -> None:
    id = (await done(app, client, {"text": "cats"}))["id"]
    found = await client.get(f"/api/analyses/{id}/lens?position=1&word=t&lens=tuned")
    assert found.json()["words"][0]["prob"] == pytest.approx([0.2, 0.4, 0.6])
    plain = await client.get(f"/api/analyses/{id}/lens?position=1&word=t")
    assert plain.json()["words"][0]["prob"] == pytest.approx([0.1, 0.2, 0.3])


async def test_without_translators_it_is_null(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await done(app, client, {"text": "cats"}))["tuned_lens"] is None


@pytest.mark.parametrize(("lens", "said"), [("tuned", "has no tuned lens: name its file"), ("loud", "")])
async def test_a_lens_that_there_is_not_cannot_be_asked_for_words(
    app: FastAPI, client: httpx.AsyncClient, lens: str, said: str
) -> None:
    id = (await done(app, client, {"text": "cats"}))["id"]
    answer = await client.get(f"/api/analyses/{id}/lens?position=1&word=t&lens={lens}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "lens"
    assert said in answer.json()["detail"]
