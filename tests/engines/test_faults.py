"""Engines of this process that die."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from server.app import create_app
from server.nla.checkpoints.specs import AvSpec
from server.nla.types import Floats
from server.nla.verbalisers import vllm
from server.nla.verbalisers.base import Failed
from server.nla.verbalisers.stale_engines import end_stale_engines, engine_processes
from server.settings import Settings
from tests.conftest import client_of
from tests.engines.conftest import (
    LONGEST,
    OPTIONS,
    engine,
    finished,
    ordered,
    outcomes,
    until,
)  # fmt: skip

pytest.importorskip("vllm")
pytestmark = pytest.mark.anyio


def kill_engine(av: Any) -> None:
    """End the engine's own process, as the kernel does when memory runs out."""
    for process in av.engine.engine_core.resources.engine_manager.processes:
        os.kill(process.pid, 9)


async def test_a_killed_engine_fails_what_it_was_reading_and_is_started_again(
    spec: AvSpec, activations: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm, "WATCH", 0.001)  # the keeper sees it at once: before the readings know
    av = engine("vllm", spec)
    await av.open()
    try:
        said = []
        async for outcome in av.stream(ordered(activations), temperature=0.0, max_new_tokens=LONGEST, seed=0):
            if not said:
                kill_engine(av)
            said.append(outcome)
        failed = [outcome for outcome in said if isinstance(outcome, Failed)]
        assert len(failed) + len(finished(said)) == len(activations)
        assert failed and all("started again" in outcome.reason for outcome in failed)
        assert av.unavailable_reason
        later = finished(await outcomes(av, ordered(activations[:3])))  # waits for the new engine
        assert len(later) == 3
        assert (av.unavailable_reason, av.counters()["restarts"]) == (None, 1)
    finally:
        await av.close()


async def test_the_server_outlives_its_engine_and_finishes_the_analysis(
    tmp_path: Path, plain_environment: None, cache_dir: Path
) -> None:
    options = OPTIONS | {"max_model_len": 256, "max_num_seqs": 8}
    settings = Settings(data_dir=tmp_path, cache_dir=cache_dir, verbaliser="vllm", vllm_options=options)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        assert app.state.models.error is None
        made = (
            await client.post(
                "/api/analyses", json={"text": "Cats purr when they sleep in the sun, and dogs."}
            )
        ).json()
        killed, lost = False, set()
        async for event in app.state.analyses.events(made["id"]):
            if event.kind == "reading" and event.data.error:
                assert "started again" in event.data.error
                lost.add(event.data.position)
            elif event.kind == "reading" and not killed:
                killed = True
                kill_engine(app.state.models.resident().verbaliser)
                await until(lambda: app.state.models.unavailable_reason is not None)
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.json()["status"]) == (503, "trouble")
        found = (await client.get(f"/api/analyses/{made['id']}")).json()
        assert found["status"] == "done"
        assert 0 < len(lost) <= 8  # what was in it was marked, then read again
        assert len(found["readings"]) == len(found["tokens"])
        assert all(reading["fve"] is not None and not reading["error"] for reading in found["readings"])
        assert (await client.get("/readyz")).status_code == 200
        counters = (await client.get("/metrics")).text
        assert "nla_av_restarts_total 1.0" in counters


HELD = """
import asyncio, sys
from pathlib import Path
from server.nla.checkpoints.specs import read_av
from tests.engines.conftest import engine

async def hold() -> None:
    await engine("vllm", read_av(Path(sys.argv[1]))).open()
    Path(sys.argv[2]).touch()  # not a line of output: the engine's own lines would be mixed with it
    await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(hold())
"""


def engines_of(server: int) -> set[int]:
    """Processes of a server's engines that can still do something."""
    found = set()
    for pid, owner in engine_processes().items():
        with suppress(psutil.NoSuchProcess):
            if owner.split()[0] == str(server) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
    return found


async def test_the_engine_of_a_killed_server_is_ended_by_the_next(spec: AvSpec, tmp_path: Path) -> None:
    script, opened = tmp_path / "held.py", tmp_path / "opened"
    script.write_text(HELD)
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(spec.folder),
        str(opened),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    await until(lambda: opened.exists() or server.returncode is not None)
    assert server.returncode is None, "the server ended before its engine was there"
    server.kill()
    await server.wait()
    assert engines_of(server.pid)  # nobody has told them
    end_stale_engines()
    await until(lambda: not engines_of(server.pid))
