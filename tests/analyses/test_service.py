from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI

from server.analyses import row_mapping
from server.analyses.schema import Analysis, AnalysisRequest
from server.analyses.service import AT_HAND
from server.jobs.progress import Progress
from server.settings import Settings
from server.store import repository
from server.store.repository import StoredAnalysis
from tests.analyses.asking import analyses_of, chat, finish, watch
from tests.conftest import running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("positions", "read"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6]),
        ("prompt", [0, 1, 2, 3]),
        ("generated", [4, 5, 6]),
        ([5, 0], [0, 5]),
        ([], []),
    ],
)
async def test_which_positions_are_read(app: FastAPI, positions: Any, read: list[int]) -> None:
    request = AnalysisRequest(text="raw!", positions=positions, generate={"max_new_tokens": 3})  # type: ignore[arg-type]
    analysis = await finish(analyses_of(app), request)
    assert [reading.position for reading in analysis.readings] == read
    assert analysis.status == "done"
    assert len(analysis.tokens) == 7


async def test_samples_are_readings_of_their_own(app: FastAPI) -> None:
    analysis = await finish(analyses_of(app), chat("a", verbalise={"samples": 3}, positions=[1]))
    assert [(r.position, r.sample, r.text[:8]) for r in analysis.readings] == [
        (1, n, f"sample {n}") for n in range(3)
    ]


async def test_a_cut_reading_is_marked_truncated(app: FastAPI) -> None:
    analysis = await finish(analyses_of(app), chat("a", verbalise={"max_new_tokens": 4}, positions=[1]))
    (reading,) = analysis.readings
    assert (reading.truncated, len(reading.text.split())) == (True, 4)


async def test_the_same_wish_is_found_and_not_computed_again(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    first = await finish(analyses, chat())
    again, existed = await analyses.create(chat(verbalise={"temperature": 0}))
    assert existed
    assert again.model_dump() == first.model_dump()
    assert len(pair.target.traced) == 1


async def test_two_who_ask_at_once_get_one_analysis(app: FastAPI, pair: FakePair) -> None:
    analyses = analyses_of(app)
    answers = await asyncio.gather(*(analyses.create(chat()) for _ in range(5)))
    assert len({analysis.id for analysis, _ in answers}) == 1
    assert sorted(existed for _, existed in answers) == [False, True, True, True, True]
    await watch(analyses, answers[0][0].id)
    assert len(pair.target.traced) == 1


async def test_finished_ones_are_the_same_after_a_restart(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app:
        done = await finish(analyses_of(app), chat("\0 NUL, \N{CAT FACE}, <script>, \u2028 and \\u0000"))
    async with running(settings, FakeSource()) as app:
        again = await analyses_of(app).get(done.id)
        assert again.model_dump() == done.model_dump()


async def test_a_position_of_a_reply_that_ended_early_is_marked(app: FastAPI) -> None:
    reply = {"max_new_tokens": 20}  # the fake says eleven characters
    analysis = await finish(analyses_of(app), chat("a", positions=[0, 20], generate=reply))
    assert [(r.position, r.error) for r in analysis.readings] == [
        (0, None),
        (20, "There is no position 20: the text ended at 14."),
    ]


async def test_what_is_done_is_read_from_the_store_once_until_something_new_is_kept(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyses, read = analyses_of(app), list[str]()
    whole = row_mapping.analysis_of

    def counted(stored: StoredAnalysis, progress: Progress | None = None) -> Analysis:
        read.append(stored.row.id)
        return whole(stored, progress)

    monkeypatch.setattr(row_mapping, "analysis_of", counted)
    ids = [(await finish(analyses, chat(f"{n} cats"))).id for n in range(AT_HAND + 1)]
    for id in ids:
        await analyses.get(id)
    read.clear()
    for id in (*ids[1:], *ids[1:]):
        assert (await analyses.get(id)).id == id
    assert read == []
    await analyses.get(ids[0])
    assert read == ids[:1]
    values = {"run_number": 7}
    await app.state.store.write(partial(repository.change, ids[0], values))
    await analyses.get(ids[0])
    assert read == ids[:1] * 2
