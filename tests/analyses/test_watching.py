from __future__ import annotations

from contextlib import aclosing

import numpy as np
import pytest
from fastapi import FastAPI

from server.analyses.schema import AnalysisRequest
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, until, watch
from tests.conftest import running
from tests.fakes import REPLY, FakePair, FakeSource, activation, text_of

pytestmark = pytest.mark.anyio


async def test_an_analysis_from_prompt_to_baselines(app: FastAPI, pair: FakePair) -> None:
    analysis = await finish(analyses_of(app), chat("cats", generate={"max_new_tokens": 5}))
    assert analysis.status == "done"
    assert "".join(t.text for t in analysis.tokens) == "<start>cats<end><start>" + REPLY[:5]
    assert [t.kind for t in analysis.tokens] == ["prompt"] * 7 + ["generated"] * 5
    assert [t.role for t in analysis.tokens[:7]] == ["template", *["user"] * 4, "template", "template"]
    ids = [t.id for t in analysis.tokens]
    for reading, token in zip(analysis.readings, analysis.tokens, strict=True):
        h = activation(ids[: token.position + 1])
        assert (reading.position, reading.sample, reading.error) == (token.position, 0, None)
        assert reading.text == text_of(h)
        assert reading.cos == pytest.approx(1)
        assert (reading.rank, reading.rank_of) == (1, 9 + token.special)
        assert token.norm == pytest.approx(float((h.astype(float) ** 2).sum() ** 0.5), abs=1e-3)
    assert analysis.lens is not None
    assert analysis.lens.prob.shape == (3, 12)
    assert analysis.baselines is not None
    assert (analysis.baselines.n, analysis.baselines.over) == (9, "content")
    assert (analysis.baselines.nearest, analysis.baselines.nearest_of) == (1, 9)
    assert analysis.baselines.left_out is not None
    assert analysis.baselines.left_out.n == 3
    h = np.stack([activation(ids[: n + 1]) for n in range(12)]).astype(float)
    u = (h / np.linalg.norm(h, axis=1, keepdims=True))[[t.position for t in analysis.tokens if not t.special]]
    assert analysis.baselines.shuffled_cos == pytest.approx(
        (u @ u.T)[~np.eye(9, dtype=bool)].mean(), abs=1e-3
    )
    assert analysis.focus == 4  # the "s" of cats: the last that the user typed
    assert analysis.progress.model_dump(include={"stage", "done", "total"}) == {
        "stage": "done",
        "done": 12,
        "total": 12,
    }
    assert set(analysis.timings) == {
        *("tokens", "reply", "lens", "first_words", "first_reading", "last_score", "total")
    }
    assert list(analysis.timings.values()) == sorted(analysis.timings.values())
    assert (analysis.versions, analysis.layer, analysis.fve_variance) == ({"fake": "1"}, 1, 0.5)
    assert pair.target.traced == [ids]


async def test_a_running_analysis_can_be_looked_at(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(2)
    analysis, _ = await analyses.create(chat("cats"))
    await until(analyses, analysis.id, "progress", stage="readings", done=2)
    now = await analyses.get(analysis.id)
    assert now.status == "running"
    assert len(now.tokens) == 7
    assert [reading.position for reading in now.readings] == [0, 4]  # the focus, then in reading order
    assert (now.progress.done, now.progress.total) == (2, 7)
    pair.verbaliser.allow()
    await watch(analyses, analysis.id)
    assert (await analyses.get(analysis.id)).status == "done"
    assert (now.status, len(now.readings)) == ("running", 2)  # a view does not change under its reader


async def test_a_pinned_position_is_read_next_and_its_words_are_told(settings: Settings) -> None:
    source = FakeSource()
    async with running(settings.model_copy(update={"batch_window": 2}), source) as app:
        analyses = analyses_of(app)
        source.pair.verbaliser.limit(1)
        analysis, _ = await analyses.create(chat("a long prompt"))
        await until(analyses, analysis.id, "reading")
        analyses.pin(analysis.id, 9)
        source.pair.verbaliser.allow()
        await watch(analyses, analysis.id)
        assert source.pair.verbaliser.asked[1][0] == (9, 0)


async def test_analyses_beyond_the_places_wait_in_line(settings: Settings) -> None:
    source = FakeSource()
    source.pair.verbaliser.limit(0)
    async with running(settings.model_copy(update={"max_running": 1}), source) as app:
        analyses = analyses_of(app)
        ids = [(await analyses.create(chat(text)))[0].id for text in ("one", "two", "three")]
        await until(analyses, ids[0], "progress", stage="readings")
        waiting = await until(analyses, ids[2], "progress", stage="queued", ahead=1)
        assert waiting.data.message == "One analysis waits before this one."
        assert (await analyses.get(ids[2])).status == "queued"
        await analyses.cancel(ids[1])
        await until(analyses, ids[2], "progress", stage="queued", ahead=0)
        source.pair.verbaliser.allow()
        await watch(analyses, ids[2])
        assert (await analyses.get(ids[2])).status == "done"


async def test_two_at_work_take_turns_at_the_av(settings: Settings) -> None:
    source = FakeSource()
    source.pair.verbaliser.limit(0)
    async with running(settings.model_copy(update={"max_running": 2, "batch_window": 4}), source) as app:
        analyses = analyses_of(app)
        long, _ = await analyses.create(AnalysisRequest(text="x" * 40))
        await until(analyses, long.id, "progress", stage="readings")
        short, _ = await analyses.create(AnalysisRequest(text="yyy"))
        await until(analyses, short.id, "progress", stage="readings")
        source.pair.verbaliser.allow()
        await watch(analyses, long.id)
        assert [len(keys) for keys in source.pair.verbaliser.asked] == [4, 3, *[4] * 9]


async def test_a_slow_watcher_gets_the_end_and_every_reading_once(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(0)
    analysis, _ = await analyses.create(chat("a long prompt"))
    slow = analyses.events(analysis.id)
    first = await anext(slow)
    pair.verbaliser.allow()
    await watch(analyses, analysis.id)
    rest = [event async for event in slow]
    assert [event.kind for event in rest].count("reading") == len((await analyses.get(analysis.id)).readings)
    assert rest[-1].kind == "done"
    ids = [first.id, *(event.id for event in rest)]
    assert ids == sorted(set(ids))


async def test_a_watcher_that_comes_back_after_the_end_gets_the_rest_with_the_same_ids(app: FastAPI) -> None:
    analyses = analyses_of(app)
    analysis, _ = await analyses.create(chat("cats"))
    live = await watch(analyses, analysis.id)
    told = {(e.id, e.kind) for e in live if e.kind not in {"progress", "delta"}}
    replayed = await watch(analyses, analysis.id)
    assert {(e.id, e.kind) for e in replayed} <= told
    assert replayed[-1] == live[-1]
    middle = replayed[len(replayed) // 2].id
    assert await watch(analyses, analysis.id, middle) == [e for e in replayed if e.id > middle]
    assert await watch(analyses, analysis.id, replayed[-1].id) == []


async def test_a_closed_viewer_stops_nothing(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(1)
    analysis, _ = await analyses.create(chat())
    viewer = analyses.events(analysis.id)
    await anext(viewer)
    await viewer.aclose()
    pair.verbaliser.allow()
    await watch(analyses, analysis.id)
    assert (await analyses.get(analysis.id)).status == "done"


async def test_a_watcher_of_the_first_server_goes_on_at_the_second(settings: Settings) -> None:
    before, after = FakeSource(), FakeSource()
    async with running(settings, before) as app:
        before.pair.verbaliser.limit(2)
        analysis, _ = await analyses_of(app).create(chat("cats"))
        last = (await until(analyses_of(app), analysis.id, "progress", stage="readings", done=2)).id
    async with running(settings, after) as app:
        events = await watch(analyses_of(app), analysis.id, last)
    assert {e.data.position for e in events if e.kind == "reading"} == {1, 2, 3, 5, 6}  # 4 and 0 it had
    # Whoever comes before the analysis is taken up is told of that first, with the id that he had.
    assert min(e.id for e in events if e.kind != "progress") > last


async def test_a_reply_is_told_as_it_grows(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.target.held_after = 4
    pair.target.hold.clear()
    analysis, _ = await analyses.create(chat("cats", generate={}))
    replies = []
    async for event in analyses.events(analysis.id):
        if event.kind == "tokens":
            replies.append("".join(token.text for token in event.data if token.kind == "generated"))
            if replies[-1] == REPLY[:4]:
                pair.target.hold.set()
    assert replies[0] == ""
    assert REPLY[:4] in replies
    assert replies[-1] == REPLY


async def test_snapshots_end_with_what_is_kept(app: FastAPI) -> None:
    analyses = analyses_of(app)
    started, _ = await analyses.create(chat("cats"))
    last = [snapshot async for snapshot in analyses.watch(started.id)][-1]
    assert last.analysis.status == "done"
    assert last.analysis == await analyses.get(started.id)
    assert last.writing == {}


async def test_many_changes_between_two_steps_are_one_snapshot(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    pair.verbaliser.limit(0)
    started, _ = await analyses.create(chat("cats"))
    await until(analyses, started.id, "lens")
    async with aclosing(analyses.watch(started.id)) as snapshots:
        assert (await anext(snapshots)).analysis.readings == []
        pair.verbaliser.allow()
        await watch(analyses, started.id)  # to the end, while nobody asks for a snapshot
        (rest,) = [snapshot async for snapshot in snapshots]
    assert len(rest.analysis.readings) == len(rest.analysis.tokens) > 1
