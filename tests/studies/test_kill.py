from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.settings import Settings
from server.store.database import connect
from server.store.tables import ReadingRow
from tests.conftest import running
from tests.studies.doomed import PROBLEMS
from tests.studies.sums import asked, ended, made, multiplying, readings_of

pytestmark = [pytest.mark.anyio, pytest.mark.faults]
ROOT = Path(__file__).resolve().parents[2]
CASES = 2


async def killed(data_dir: Path, database_url: str | None) -> tuple[str, list[dict[str, object]]]:
    """The study and the cases that a server told before it was killed, with no warning, in the middle of its work."""
    elsewhere = {} if database_url is None else {"NLA_DATABASE_URL": database_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.studies.doomed", str(data_dir)),
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | elsewhere,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    assert process.stdout is not None
    id, cases = "", []
    while len(cases) < CASES:
        line = await process.stdout.readline()
        assert line, "the server ended by itself"
        told = json.loads(line)
        id = told.get("study", id)
        cases += [told["case"]] if "case" in told else []
    process.send_signal(signal.SIGKILL)
    await process.stdout.read()
    assert await process.wait() == -signal.SIGKILL
    return id, cases


async def test_kill_9_loses_no_case_and_repeats_none(settings: Settings, tmp_path: Path) -> None:
    id, told = await killed(settings.data_dir, settings.database_url)
    engine = connect(settings.sqlalchemy_url)
    with Session(engine) as session:
        written = select(func.count()).select_from(ReadingRow).where(ReadingRow.text != "")
        kept = session.scalar(written) or 0
    engine.dispose()
    source = multiplying()
    async with running(settings, source) as app:
        study = await ended(app, id)
    assert study.status == "done" and len(study.cases) == PROBLEMS
    after = {case.number: case.model_dump(mode="json") for case in study.cases}
    assert [after[case["number"]] for case in told] == told  # type: ignore[index]
    assert len(source.pair.verbaliser.finished) + kept == readings_of(study)

    async with running(Settings(data_dir=tmp_path / "fresh", pair="fake"), multiplying()) as app:
        unharmed = await made(app, asked(PROBLEMS))
    assert (unharmed.id, unharmed.cases, unharmed.statistics) == (id, study.cases, study.statistics)
