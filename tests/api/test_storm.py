"""Analyses asked for and cancelled in storms, over real sockets: the server works on, and nothing is left over."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.analyses.asking import analyses_of, watch
from tests.conftest import served

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
ROUNDS = 25
ASKED = 30
HANDLES = Path("/proc/self/fd")


async def ask(web: httpx.AsyncClient, text: str) -> str:
    answer = await web.post("/api/analyses", json={"text": text, "positions": [0, 1]})
    assert answer.status_code in {200, 202}, answer.text
    id: str = answer.json()["id"]
    return id


async def cancel(web: httpx.AsyncClient, id: str) -> str:
    answer = await web.post(f"/api/analyses/{id}/cancel")
    assert answer.status_code == 200, answer.text
    status: str = answer.json()["status"]
    return status


def handles() -> int:
    """How many files and sockets this process has open."""
    return sum(1 for _ in HANDLES.iterdir())


def tasks() -> list[asyncio.Task[Any]]:
    """Those of analyses."""
    names = ("analysis-", "stop-", "take-up")
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(names)]


@pytest.mark.skipif(not HANDLES.is_dir(), reason="counts the process's file handles as Linux shows them")
async def test_storms_of_cancels_leave_nothing_behind(app: FastAPI) -> None:
    analyses = analyses_of(app)
    async with served(app) as address, AsyncExitStack() as stack:
        # A client each: one with a connection for each spends most of the test's time choosing among them.
        webs = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=address, trust_env=False, verify=False, timeout=120)
            )
            for _ in range(ASKED)
        ]
        for n in range(ROUNDS):
            ids = await asyncio.gather(*(ask(web, f"{k} of {n}") for k, web in enumerate(webs)))
            ended = await asyncio.gather(*(cancel(web, id) for web, id in zip(webs, ids, strict=True)))
            assert set(ended) <= {"cancelled", "done"}
            if n == 0:
                before = handles()
        fresh = await ask(webs[0], "and one that nobody cancels")
        async with asyncio.timeout(60):
            assert (await watch(analyses, fresh))[-1].kind == "done"
            while tasks():  # noqa: ASYNC110 - whoever waited for the last of them has been told
                await asyncio.sleep(0)
        assert handles() < before + ASKED  # the store may have opened a connection more
    scheduler, turns = app.state.scheduler, app.state.models._turns
    assert scheduler._jobs == {}
    _, queue = scheduler._kinds["analysis"]
    assert (queue.length, queue.free) == (0, app.state.settings.max_running)
    assert (turns.holders, turns.callers, list(turns.waited_for())) == (0, 0, [])
    capacity = app.state.models.resident().capacity
    assert capacity._free == (capacity.limit or 1)
