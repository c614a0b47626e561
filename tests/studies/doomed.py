"""A server that another process will kill in the middle of a study: prints the id of the study, then each case as it is
kept. Run as `python -m tests.studies.doomed DATA_DIR`; it makes a few readings and then hangs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from server.settings import Settings
from tests.conftest import running
from tests.studies.sums import asked, multiplying, studies_of

PROBLEMS = 6
READINGS = 13
"""A few cases, and a part of those that come after."""


async def main(data_dir: Path) -> None:
    """Never returns."""
    source = multiplying()
    source.pair.verbaliser.limit(READINGS)
    async with running(Settings(data_dir=data_dir, pair="fake"), source) as app:
        id, _ = await studies_of(app).submit(asked(PROBLEMS))
        print(json.dumps({"study": id}), flush=True)
        async for event in studies_of(app).events(id):
            if event.kind == "case":
                print(json.dumps({"case": event.data.model_dump(mode="json")}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
