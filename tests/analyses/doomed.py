"""A server that another process will kill: asks for one analysis and prints what a watcher is told.

Run as `python -m tests.analyses.doomed DATA_DIR`; it writes a few readings and then hangs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from server.analyses.json_stream import data_json
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat
from tests.conftest import running
from tests.fakes import FakeSource

FINISHED = 5
PROMPT = "a prompt of some length"


async def main(data_dir: Path) -> None:
    """Never returns."""
    source = FakeSource()
    source.pair.verbaliser.limit(FINISHED)
    async with running(Settings(data_dir=data_dir, pair="fake"), source) as app:
        analysis, _ = await analyses_of(app).create(chat(PROMPT))
        async for event in analyses_of(app).events(analysis.id):
            line = {"id": event.id, "kind": event.kind, "data": json.loads(await data_json(event.data))}
            print(json.dumps(line | {"analysis": analysis.id}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
