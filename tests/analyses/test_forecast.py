"""Forecasts: the tokens, the readings and the time of an analysis that nobody has asked for yet."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from server.analyses.forecast import KEPT, Paces, Run, readings_of
from server.analyses.schema import AnalysisRequest
from server.errors import BadInput, NotReady
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.conftest import running
from tests.fakes import FakeSource


@pytest.mark.parametrize(
    ("wanted", "readings"),
    [
        ({}, 10),
        ({"generate": {"max_new_tokens": 30}}, 40),
        ({"generate": {"max_new_tokens": 30}, "positions": "prompt"}, 10),
        ({"generate": {"max_new_tokens": 30}, "positions": "generated"}, 30),
        ({"positions": [3, 7]}, 2),
        ({"positions": [3, 7], "verbalise": {"samples": 4}}, 8),
    ],
)
def test_the_readings_of_ten_tokens_are_counted(wanted: dict[str, object], readings: int) -> None:
    assert readings_of(AnalysisRequest.model_validate({"text": "x", **wanted}), 10) == readings


def test_the_time_is_that_of_the_runs_of_about_as_many_readings() -> None:
    paces = Paces()
    assert paces.seconds("a", 10) is None
    for n in range(5):
        paces.add("a", Run(10, 20.0 + n))  # 2.0 to 2.4 s each: 2.2 in the middle
        paces.add("a", Run(300, 150.0))  # many at once: 0.5 s each
    assert paces.seconds("a", 20) == 44.0
    assert paces.seconds("a", 200) == 100.0
    assert paces.seconds("b", 20) is None


def test_runs_that_read_nothing_and_those_of_long_ago_do_not_count() -> None:
    paces = Paces()
    paces.add("a", Run(0, 3.0))
    assert paces.seconds("a", 10) is None
    paces.add("a", Run(1, 1000.0))
    for _ in range(KEPT):
        paces.add("a", Run(1, 2.0))
    assert paces.seconds("a", 1) == 2.0
    assert paces.seconds("a", 0) is None


@pytest.mark.anyio
async def test_the_time_is_known_once_something_was_read_and_nothing_is_begun(app: FastAPI) -> None:
    analyses = analyses_of(app)
    before = await analyses.forecast(chat("cats", generate={"max_new_tokens": 5}))
    assert (before.tokens, before.readings, before.seconds) == (7, 12, None)
    assert await analyses.count(None, None, None) == 0
    await finish(analyses, chat("dogs"))
    assert (await analyses.forecast(chat("cats"))).seconds is not None
    assert await analyses.count(None, None, None) == 1


@pytest.mark.anyio
async def test_a_text_that_is_too_long_is_refused_as_it_will_be(app: FastAPI, settings: Settings) -> None:
    text = "x" * (settings.max_prompt_tokens + 1)
    with pytest.raises(BadInput, match=f"{len(text):,} tokens long; this server takes up to"):
        await analyses_of(app).forecast(AnalysisRequest(text=text))
    with pytest.raises(BadInput, match="no pair"):
        await analyses_of(app).forecast(chat(pair="another"))


@pytest.mark.anyio
async def test_it_waits_for_no_models(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app:
        with pytest.raises(NotReady, match="not in memory yet"):
            await analyses_of(app).forecast(chat())
        source.loads.set()
