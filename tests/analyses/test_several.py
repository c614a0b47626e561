"""Several pairs: one is resident, the others are loaded when somebody asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI

from server.errors import BadInput, NlaError, NotReady
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.conftest import client_of, running
from tests.fakes import FakePair, FakeSource, held

pytestmark = pytest.mark.anyio


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(FakePair(), FakePair(name="other", fingerprint="o1"), FakePair(name="third"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"extra_pairs": "other, third"})


@pytest.fixture
async def app(settings: Settings, source: FakeSource, anyio_backend: str) -> AsyncIterator[FastAPI]:
    async with running(settings, source) as app:
        yield app


async def came(condition: Callable[[], bool]) -> None:
    """Let everybody else go on until this holds."""
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)


async def test_a_pair_is_loaded_when_it_is_asked_for(app: FastAPI, source: FakeSource) -> None:
    source.loads.clear()
    analysis, _ = await analyses_of(app).create(chat(pair="other"))
    told = await until(analyses_of(app), analysis.id, "progress", message="loading the other")
    assert told.data.stage == "loading"
    source.loads.set()
    assert (await watch(analyses_of(app), analysis.id))[-1].kind == "done"
    assert (await analyses_of(app).get(analysis.id)).pair == "other"
    assert len(source.pairs["other"].target.traced) == 1
    assert source.loaded == ["fake", "other"]  # never two at once: the source would not have it


async def test_without_a_name_the_first_pair_is_meant_whichever_is_resident(app: FastAPI) -> None:
    await finish(analyses_of(app), chat(pair="other"))
    assert (await finish(analyses_of(app), chat())).pair == "fake"


async def test_turns_are_given_in_the_order_of_asking_and_together(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    source.pair.verbaliser.limit(0)
    asked = [
        (await analyses.create(chat(text, pair=pair)))[0].id
        for text, pair in [("a", "fake"), ("b", "other"), ("c", "fake"), ("d", "other"), ("e", "third")]
    ]
    await until(analyses, asked[0], "progress", stage="readings")
    waiting = [(await analyses.get(id)).progress for id in asked[1:]]
    assert [progress.stage for progress in waiting] == ["waiting"] * 4
    assert waiting[0].message == "The pair other is loaded when the work with fake is done."
    assert waiting[1].message == "Another pair is asked for, other; after that fake is loaded again."
    source.pair.verbaliser.allow()
    for id in asked:
        assert (await watch(analyses, id))[-1].kind == "done"
    assert source.loaded == ["fake", "other", "fake", "third"]


async def test_whoever_watches_is_told_of_every_change(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    source.pair.verbaliser.limit(0)
    await analyses.create(chat("a"))
    first, _ = await analyses.create(chat("b", pair="other"))
    second, _ = await analyses.create(chat("b", pair="third"))
    watching = asyncio.create_task(watch(analyses, second.id))
    source.loads.clear()
    source.pair.verbaliser.allow()
    expected = "The pair third is loaded when the work with other is done."
    await until(analyses, second.id, "progress", message=expected)
    source.loads.set()
    assert (await watching)[-1].kind == "done"
    assert (await analyses.get(first.id)).status == "done"


async def test_a_pair_that_cannot_be_loaded_fails_its_own_analyses_alone(
    app: FastAPI, source: FakeSource
) -> None:
    source.errors["other"] = NlaError("the sidecar lies")
    source.pair.verbaliser.limit(0)
    analyses = analyses_of(app)
    first, _ = await analyses.create(chat("a"))
    bad = [(await analyses.create(chat(text, pair="other")))[0].id for text in "bc"]
    last, _ = await analyses.create(chat("d", pair="third"))
    source.pair.verbaliser.allow()
    for id in bad:
        await watch(analyses, id)
        reason = (await analyses.get(id)).error
        assert reason == "The pair other could not be loaded: the sidecar lies"
    for id in (first.id, last.id):
        await watch(analyses, id)
        assert (await analyses.get(id)).status == "done"


async def test_after_a_failure_the_pair_of_before_comes_back(app: FastAPI, source: FakeSource) -> None:
    source.errors["other"] = NlaError("the sidecar lies")
    async with client_of(app) as client:
        assert (await finish(analyses_of(app), chat(pair="other"))).status == "failed"
        await came(lambda: app.state.models.state == "ready")
        assert (await client.get("/readyz")).json()["pair"] == "fake"
    del source.errors["other"]
    assert (await finish(analyses_of(app), chat(pair="other"))).status == "done"


async def test_whoever_gives_up_waiting_lets_the_others_go_on(app: FastAPI, source: FakeSource) -> None:
    analyses = analyses_of(app)
    source.pair.verbaliser.limit(0)
    await analyses.create(chat("a"))
    impatient, _ = await analyses.create(chat("b", pair="other"))
    behind, _ = await analyses.create(chat("c"))
    assert (await analyses.get(behind.id)).progress.stage == "waiting"
    assert (await analyses.cancel(impatient.id)).status == "cancelled"
    source.pair.verbaliser.allow()
    assert (await watch(analyses, behind.id))[-1].kind == "done"
    assert source.loaded == ["fake"]


async def test_a_restarted_server_goes_on_with_every_pair(settings: Settings) -> None:
    before = FakeSource(FakePair(), FakePair(name="other"))
    two = settings.model_copy(update={"extra_pairs": "other"})
    async with running(two, before) as app:
        before.pair.verbaliser.limit(1)
        asked = [(await analyses_of(app).create(chat(pair=pair)))[0].id for pair in ("fake", "other")]
        await until(analyses_of(app), asked[0], "reading")
    assert before.loaded == ["fake"]
    after = FakeSource(FakePair(), FakePair(name="other"))
    async with running(two, after) as app:
        for id in asked:
            await watch(analyses_of(app), id)
            assert (await analyses_of(app).get(id)).status == "done"


async def test_what_was_asked_of_a_pair_is_found_when_that_pair_is_away(app: FastAPI) -> None:
    analyses = analyses_of(app)
    done = await finish(analyses, chat(pair="other"))
    await finish(analyses, chat(pair="fake"))
    assert (await finish(analyses, chat(pair="other"))).id == done.id


async def test_a_call_keeps_its_pair_to_the_end(app: FastAPI, source: FakeSource) -> None:
    with held(source.pair.reconstructor.hold):
        async with client_of(app) as client:
            call = asyncio.create_task(client.post("/api/reconstruct", json={"texts": ["a"]}))
            await came(source.pair.reconstructor.begun.is_set)  # it is under way
            analysis, _ = await analyses_of(app).create(chat(pair="other"))
            await came(lambda: not app.state.models.is_resident("fake"))
            refused = await client.post("/api/reconstruct", json={"texts": ["a"]})
            assert refused.status_code == 503
            assert "making room for other" in refused.json()["detail"]
            source.pair.reconstructor.hold.set()
            assert (await call).json()["pair"] == "fake"
    assert (await watch(analyses_of(app), analysis.id))[-1].kind == "done"


@pytest.mark.parametrize("path", ["reconstruct", "verbalise", "score"])
async def test_calls_are_answered_by_the_resident_pair_alone(app: FastAPI, path: str) -> None:
    bodies = {"reconstruct": {"texts": ["a"]}, "verbalise": {"activations": [[1.0] * 8]}}
    body = bodies.get(path, {"texts": ["a"], "activations": [[1.0] * 8]})
    async with client_of(app) as client:
        assert (await client.post(f"/api/{path}", json={**body, "pair": "fake"})).status_code == 200
        refused = await client.post(f"/api/{path}", json={**body, "pair": "other"})
    assert refused.status_code == 503
    assert refused.json()["detail"].startswith("The pair other is not resident, fake is.")


async def test_pairs_that_are_not_configured_are_refused_with_the_cure(app: FastAPI) -> None:
    with pytest.raises(BadInput, match="NLA_EXTRA_PAIRS") as caught:
        await analyses_of(app).create(chat(pair="elsewhere"))
    assert caught.value.field == "pair"
    with pytest.raises(BadInput, match="There is no pair named 'nowhere'"):
        await analyses_of(app).create(chat(pair="nowhere"))


async def test_a_name_that_no_pair_has_is_told_at_the_start(settings: Settings) -> None:
    misspelt = settings.model_copy(update={"extra_pairs": "othr"})
    async with running(misspelt, FakeSource()) as app:
        with pytest.raises(NotReady, match=r"NLA_EXTRA_PAIRS name othr; known are fake, elsewhere"):
            app.state.models.resident()


async def test_the_list_of_pairs_tells_which_can_be_asked_for(app: FastAPI) -> None:
    await finish(analyses_of(app), chat(pair="third"))
    async with client_of(app) as client:
        pairs = {pair["name"]: pair for pair in (await client.get("/api/pairs")).json()}
    assert {name for name, pair in pairs.items() if pair["configured"]} == {"fake", "other", "third"}
    assert [name for name, pair in pairs.items() if pair["resident"]] == ["third"]
