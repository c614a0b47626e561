from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish, watch
from tests.analyses.doomed import FINISHED, MEASURED, PROMPT
from tests.conftest import running
from tests.fakes import FakeSource

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
ROOT = Path(__file__).resolve().parents[2]


Told = list[dict[str, Any]]


async def killed(data_dir: Path, database_url: str | None = None) -> Told:
    """What a server told before it was killed, with no warning, in the middle of an analysis."""

    def read(told: Told) -> bool:
        return sum(e["kind"] == "reading" and e["data"]["cos"] is not None for e in told) == FINISHED

    return await killed_at("analysis", read, data_dir, database_url)


async def killed_at(
    what: str, enough: Callable[[Told], bool], data_dir: Path, database_url: str | None = None
) -> Told:
    """What a server told of a job before it was killed."""
    elsewhere = {} if database_url is None else {"NLA_DATABASE_URL": database_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.analyses.doomed", str(data_dir), what),
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | elsewhere,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    assert process.stdout is not None
    told: Told = []
    while not enough(told):
        line = await process.stdout.readline()
        assert line, "the server ended by itself"
        told.append(json.loads(line))
    process.send_signal(signal.SIGKILL)
    await process.stdout.read()
    assert await process.wait() == -signal.SIGKILL
    return told


async def test_kill_9_loses_nothing_that_was_told(tmp_path: Path) -> None:
    told = await killed(tmp_path)
    readings = {e["data"]["position"]: e["data"] for e in told if e["kind"] == "reading"}
    id, last = told[-1]["job"], told[-1]["id"]

    source = FakeSource()
    async with running(Settings(data_dir=tmp_path, pair="fake"), source) as app:
        rest = await watch(analyses_of(app), id, last)
        done = await analyses_of(app).get(id)
    after = {reading.position: reading.model_dump() for reading in done.readings}
    assert done.status == "done"
    assert len(after) == len(done.tokens)
    assert {position: after[position] for position in readings} == readings
    assert {key[0] for key in source.pair.verbaliser.finished} == set(after) - set(readings)
    assert source.pair.target.traced == []
    assert {event.data.position for event in rest if event.kind == "reading"} == set(after) - set(readings)
    # A watcher who comes before the analysis is taken up is told of that first, with the id that he had.
    assert all(event.id > last for event in rest if event.kind != "progress")

    async with running(Settings(data_dir=tmp_path / "fresh", pair="fake"), FakeSource()) as app:
        unharmed = await finish(analyses_of(app), chat(PROMPT))
    assert [reading.model_dump() for reading in unharmed.readings] == list(after.values())
    assert unharmed.id == done.id
    assert unharmed.baselines is not None
    assert done.baselines is not None
    found, wanted = done.baselines.model_dump(), unharmed.baselines.model_dump()
    assert found.pop("over") == wanted.pop("over") == "content"
    assert found.pop("left_out") == pytest.approx(wanted.pop("left_out"), abs=1e-3)
    assert found == pytest.approx(wanted, abs=1e-3)


async def test_kill_9_loses_no_causal_score_that_was_told(tmp_path: Path) -> None:
    def measured(told: Told) -> bool:
        return sum(event["kind"] == "score" for event in told) == MEASURED

    told = await killed_at("measurement", measured, tmp_path)
    source = FakeSource()
    async with running(Settings(data_dir=tmp_path, pair="fake"), source) as app:
        found = await app.state.measurements.wait(told[-1]["job"])
    scores = [score.model_dump(mode="json") for score in found.scores]
    assert scores[:MEASURED] == [event["data"] for event in told if event["kind"] == "score"]
    assert source.pair.target.patches == 5 * len(scores[MEASURED:])
