"""Pairs of one target at several layers: one forward pass, an analysis each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from fastapi import FastAPI

from server.analyses.schema import Analysis
from server.errors import BadInput
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.conftest import client_of, running
from tests.fakes import FakePair, FakeSource, activations, vector_of

pytestmark = pytest.mark.anyio


def made() -> FakeSource:
    """Three pairs of one target, and one of another."""
    deep, shallow = FakePair(name="deep", layer=2, fingerprint="d1"), FakePair(name="shallow", layer=0)
    return FakeSource(FakePair(), deep, shallow, FakePair(name="foreign", reads="another target"))


@pytest.fixture
def source() -> FakeSource:
    return made()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"extra_pairs": "deep, shallow, foreign"})


@pytest.fixture
async def app(settings: Settings, source: FakeSource, anyio_backend: str) -> AsyncIterator[FastAPI]:
    async with running(settings, source) as app:
        yield app


def passes(source: FakeSource) -> int:
    """How often a target has run."""
    return sum(len(pair.target.traced) for pair in source.pairs.values())


async def family(app: FastAPI, id: str) -> dict[str, Analysis]:
    """An analysis and its siblings, by pair, when all of them have ended."""
    await watch(analyses_of(app), id)
    found = [await analyses_of(app).get(id)]
    for sibling in found[0].siblings:
        await watch(analyses_of(app), sibling.id)
        found.append(await analyses_of(app).get(sibling.id))
    return {analysis.pair: analysis for analysis in found}


async def test_all_layers_come_from_one_pass(app: FastAPI, source: FakeSource) -> None:
    asked, _ = await analyses_of(app).create(chat("cats", also=["deep", "shallow"], generate={}))
    all_ = await family(app, asked.id)
    assert {name: (a.status, a.layer) for name, a in all_.items()} == {
        "fake": ("done", 1),
        "deep": ("done", 2),
        "shallow": ("done", 0),
    }
    assert passes(source) == 1
    assert sum(pair.target.generated for pair in source.pairs.values()) == 1
    for analysis in all_.values():
        ids = [token.id for token in analysis.tokens]
        assert ids == [token.id for token in all_["fake"].tokens]
        assert analysis.layer is not None
        h = activations(ids, analysis.layer)
        norms = [token.norm for token in analysis.tokens]
        np.testing.assert_allclose(norms, np.linalg.norm(h.astype(float), axis=1), atol=1e-3)
        texts = {reading.position: vector_of(reading.text) for reading in analysis.readings}
        np.testing.assert_allclose([texts[p] for p in range(len(ids))], h, atol=1e-6)


async def test_each_names_the_others_in_the_order_of_layers(app: FastAPI) -> None:
    asked, _ = await analyses_of(app).create(chat(also=["deep", "shallow"]))
    all_ = await family(app, asked.id)
    async with client_of(app) as client:
        told = (await client.get(f"/api/analyses/{all_['fake'].id}")).json()["siblings"]
    assert told == [
        {"pair": name, "layer": layer, "id": all_[name].id, "url": all_[name].url, "status": "done"}
        for name, layer in (("shallow", 0), ("deep", 2))
    ]
    assert [sibling.pair for sibling in all_["deep"].siblings] == ["shallow", "fake"]


async def test_what_siblings_read_at_a_position(app: FastAPI) -> None:
    asked, _ = await analyses_of(app).create(chat(also=["deep"]))
    all_ = await family(app, asked.id)
    (there,) = await analyses_of(app).layer_readings(all_["fake"], 3)
    assert (there.sibling.pair, there.error) == ("deep", None)
    assert there.readings == [all_["deep"].readings[3]]


async def test_asking_a_sibling_by_itself_finds_it(app: FastAPI) -> None:
    asked, _ = await analyses_of(app).create(chat(also=["deep"]))
    all_ = await family(app, asked.id)
    again, existed = await analyses_of(app).create(chat(pair="deep"))
    assert (again.id, existed) == (all_["deep"].id, True)


async def test_analyses_that_were_asked_for_one_by_one_are_siblings_too(app: FastAPI) -> None:
    analyses = analyses_of(app)
    one, _ = await analyses.create(chat(pair="deep"))
    other, _ = await analyses.create(chat(pair="fake"))
    for id in (one.id, other.id):
        await watch(analyses, id)
    deep = (await analyses.create(chat(pair="deep")))[0]
    assert [sibling.id for sibling in (await analyses.get(other.id)).siblings] == [deep.id]


async def test_further_layers_can_be_asked_for_later(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    first, _ = await analyses.create(chat(generate={}))
    await watch(analyses, first.id)
    again, existed = await analyses.create(chat(generate={}, also=["deep"]))
    assert (again.id, existed) == (first.id, True)
    all_ = await family(app, first.id)
    assert all_["deep"].status == "done"
    assert source.pairs["deep"].target.generated == 0  # the reply is taken over


async def test_layers_asked_for_while_it_waits_share_its_pass(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    source.pair.verbaliser.limit(0)
    for text in "ab":  # two are at work, the next one waits
        await analyses.create(chat(text))
    waiting, _ = await analyses.create(chat("cats"))
    await analyses.create(chat("cats", also=["deep"]))
    source.pair.verbaliser.allow()
    all_ = await family(app, waiting.id)
    assert all_["deep"].status == "done"
    assert passes(source) == 3


async def test_an_unfinished_sibling_is_taken_up_at_the_next_start(settings: Settings) -> None:
    before = made()
    async with running(settings, before) as app:
        before.pairs["deep"].verbaliser.limit(2)
        asked, _ = await analyses_of(app).create(chat("cats", also=["deep", "shallow"]))
        await watch(analyses_of(app), asked.id)
        siblings = {s.pair: s.id for s in (await analyses_of(app).get(asked.id)).siblings}
        await until(analyses_of(app), siblings["deep"], "progress", stage="readings", done=2)
    after = made()
    async with running(settings, after) as app:
        all_ = await family(app, asked.id)
        assert {analysis.status for analysis in all_.values()} == {"done"}
    assert (passes(before), passes(after)) == (1, 0)
    assert len(after.pairs["deep"].verbaliser.finished) == len(all_["deep"].readings) - 2


async def test_one_that_is_deleted_leaves_the_others(app: FastAPI) -> None:
    analyses = analyses_of(app)
    asked, _ = await analyses.create(chat(also=["deep", "shallow"]))
    all_ = await family(app, asked.id)
    await analyses.delete(asked.id)
    left = await analyses.get(all_["deep"].id)
    assert [sibling.pair for sibling in left.siblings] == ["shallow"]
    assert len(left.readings) == len(left.tokens)


async def test_a_sibling_that_was_cancelled_goes_on_when_it_is_asked_for(
    app: FastAPI, source: FakeSource
) -> None:
    analyses = analyses_of(app)
    source.pair.verbaliser.limit(1)
    asked, _ = await analyses.create(chat(also=["deep"]))
    await until(analyses, asked.id, "reading")
    (sibling,) = (await analyses.get(asked.id)).siblings
    assert (await analyses.cancel(sibling.id)).status == "cancelled"
    await analyses.create(chat(also=["deep"]))
    source.pair.verbaliser.allow()
    assert (await family(app, asked.id))["deep"].status == "done"
    assert passes(source) == 1


async def test_one_that_stopped_after_its_pass_can_be_widened(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    source.pair.verbaliser.dies_after = 1
    asked, _ = await analyses.create(chat("cats"))
    await watch(analyses, asked.id)
    assert (await analyses.get(asked.id)).status == "failed"
    source.pair.verbaliser.dies_after = None
    await analyses.create(chat("cats", also=["deep"]))
    assert {a.status for a in (await family(app, asked.id)).values()} == {"done"}


async def test_a_sibling_does_not_wake_one_that_was_cancelled(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    await analyses.create(chat("cats"))
    done = await finish(analyses, chat("cats"))
    source.pairs["deep"].verbaliser.limit(1)
    await analyses.create(chat("cats", also=["deep", "shallow"]))
    siblings = {s.pair: s.id for s in (await analyses.get(done.id)).siblings}
    await analyses.cancel(siblings["shallow"])
    source.pairs["deep"].verbaliser.allow()
    assert (await family(app, done.id))["shallow"].status == "cancelled"


async def test_pairs_that_are_no_longer_configured_are_passed_over(settings: Settings) -> None:
    before = made()
    before.pair.target.hold.clear()
    async with running(settings, before) as app:
        asked, _ = await analyses_of(app).create(chat(generate={}, also=["deep"]))
        await until(analyses_of(app), asked.id, "progress", stage="reply")
    async with running(settings.model_copy(update={"extra_pairs": ""}), FakeSource()) as app:
        await watch(analyses_of(app), asked.id)
        found = await analyses_of(app).get(asked.id)
        assert (found.status, found.siblings) == ("done", [])


async def test_another_target_after_a_restart_is_not_mixed_in(settings: Settings) -> None:
    before = made()
    async with running(settings, before) as app:
        before.pair.verbaliser.limit(0)
        asked, _ = await analyses_of(app).create(chat(also=["deep"]))
        await until(analyses_of(app), asked.id, "lens")
        (sibling,) = (await analyses_of(app).get(asked.id)).siblings
    after = made()
    after.pairs["deep"].reads = "new weights"
    async with running(settings, after) as app:
        await watch(analyses_of(app), sibling.id)
        assert "target has changed" in ((await analyses_of(app).get(sibling.id)).error or "")


async def test_layers_are_asked_for_while_the_models_load(settings: Settings) -> None:
    source = made()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        asked, _ = await analyses_of(app).create(chat(also=["deep"]))
        source.loads.set()
        assert {a.status for a in (await family(app, asked.id)).values()} == {"done"}
        assert passes(source) == 1
        watching = [asyncio.create_task(watch(analyses_of(app), asked.id))]
        assert (await asyncio.gather(*watching))[0][-1].kind == "done"


@pytest.mark.parametrize("name", ["fake", "foreign", "elsewhere"])
async def test_only_pairs_of_the_same_target_read_along(app: FastAPI, name: str) -> None:
    with pytest.raises(BadInput, match=r"those are: deep, shallow\.") as caught:
        await analyses_of(app).create(chat(also=["deep", name]))
    assert caught.value.field == "also.1"
