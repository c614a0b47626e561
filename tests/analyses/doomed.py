"""A server that another process will kill: asks for one job and prints what a watcher is told.

Run as `python -m tests.analyses.doomed DATA_DIR analysis`: it writes a few readings and then hangs; or with
`measurement`: it measures a few causal scores of a finished analysis and then hangs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from fastapi import FastAPI

from server.analyses.json_stream import data_json
from server.jobs.event_log import Event
from server.measurements.schema import MeasurementRequest
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.conftest import running
from tests.fakes import FakeSource

FINISHED = 5
MEASURED = 2
PROMPT = "a prompt of some length"


async def main(data_dir: Path, what: str) -> None:
    """Never returns."""
    source = FakeSource()
    async with running(Settings(data_dir=data_dir, pair="fake"), source) as app:
        await (analyse if what == "analysis" else measure)(app, source)


async def analyse(app: FastAPI, source: FakeSource) -> None:
    source.pair.verbaliser.limit(FINISHED)
    analysis, _ = await analyses_of(app).create(chat(PROMPT))
    async for event in analyses_of(app).events(analysis.id):
        await tell(event, analysis.id)


async def measure(app: FastAPI, source: FakeSource) -> None:
    source.pair.target.most_patches = 5 * MEASURED + 2
    analysis = await finish(analyses_of(app), chat(PROMPT))
    id, _ = await app.state.measurements.submit(analysis.id, MeasurementRequest())
    async for event in app.state.measurements.follow(id):
        await tell(event, id)


async def tell(event: Event, job: str) -> None:
    line = {"id": event.id, "kind": event.kind, "data": json.loads(await data_json(event.data))}
    print(json.dumps(line | {"job": job}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
