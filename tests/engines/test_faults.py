"""Engines that die, and servers that go away."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from server.app import create_app
from server.errors import CheckpointError, NotReady, SettingsError
from server.nla.checkpoints.specs import AvSpec, read_av
from server.nla.types import Floats
from server.nla.verbalisers import vllm
from server.nla.verbalisers.base import Failed, ReadingRequest, TextDelta, Verbaliser
from server.nla.verbalisers.stale_engines import end_stale_engines, engine_processes
from server.nla.verbalisers.vllm_server import VllmServerVerbaliser
from server.settings import Settings
from tests.conftest import client_of
from tests.engines.conftest import (
    LONGEST,
    OPTIONS,
    Server,
    copy_with,
    engine,
    finished,
    ordered,
    outcomes,
    serving,
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


def engines() -> set[int]:
    """Processes of engines that can still do something."""
    found = set()
    for pid in engine_processes():
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
    return found


async def test_the_engine_of_a_killed_server_is_ended_by_the_next(spec: AvSpec, tmp_path: Path) -> None:
    script, opened = tmp_path / "held.py", tmp_path / "opened"
    script.write_text(HELD)
    before = engines()
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
    assert engines() > before  # nobody has told them
    end_stale_engines()
    await until(lambda: engines() <= before)


@pytest.fixture
async def remote(spec: AvSpec, server: Server) -> Any:
    """A function that opens engines on servers of its own."""
    opened: list[Verbaliser] = []

    async def connect(*urls: str, patience: float = 60.0, of: AvSpec = spec) -> VllmServerVerbaliser:
        from transformers import AutoTokenizer

        av = VllmServerVerbaliser(
            AutoTokenizer.from_pretrained(of.folder), of, frozenset({2}), urls, patience
        )
        await av.open()
        opened.append(av)
        return av

    yield connect
    for av in opened:
        await av.close()


async def test_a_server_that_dies_loses_no_reading_when_another_is_there(
    remote: Any, spec: AvSpec, server: Server, activations: Floats, tmp_path: Path
) -> None:
    expected = finished(await outcomes(await remote(server.url), ordered(activations)))
    with serving(spec.folder, tmp_path / "log") as doomed:
        av = await remote(doomed.url, server.url)
        said = []
        async for outcome in av.stream(ordered(activations), temperature=0.0, max_new_tokens=LONGEST, seed=0):
            if not said:
                doomed.kill()
            said.append(outcome)
    assert {n: r.text for n, r in finished(said).items()} == {n: r.text for n, r in expected.items()}
    bits = {n: "".join(o.text for o in said if isinstance(o, TextDelta) and o.key == n) for n in expected}
    assert bits == {n: reading.text for n, reading in expected.items()}  # nothing was told twice


async def test_when_none_is_left_it_says_so_and_goes_on_when_one_is_back(
    remote: Any, spec: AvSpec, activations: Floats, tmp_path: Path
) -> None:
    with serving(spec.folder, tmp_path / "log") as only:
        av = await remote(only.url, patience=0.5)
        only.kill()
        with pytest.raises(NotReady, match=r"No vLLM server answers at http://127\.0\.0\.1"):
            await outcomes(av, ordered(activations[:2]))
        assert av.unavailable_reason
        only.start()
        await until(lambda: av.unavailable_reason is None)
        assert len(finished(await outcomes(av, ordered(activations[:2])))) == 2


async def test_a_server_of_another_prompt_is_refused(
    remote: Any, spec: AvSpec, server: Server, tmp_path: Path
) -> None:
    folder = copy_with(spec.folder, tmp_path / "av", spec.template)
    template = folder / "chat_template.jinja"
    template.write_text("<|im_start|>system\nBe brief.<|im_end|>\n" + template.read_text())
    with pytest.raises(CheckpointError, match="makes another prompt"):
        await remote(server.url, of=read_av(folder))


async def test_no_server_at_all_is_said_at_once(remote: Any) -> None:
    with pytest.raises(SettingsError, match="No vLLM server answers"):
        await remote("http://127.0.0.1:9")


async def test_what_nobody_waits_for_is_aborted_on_the_server(
    remote: Any, server: Server, activations: Floats
) -> None:
    av = await remote(server.url)
    requests = [ReadingRequest(n, activations[n % 30]) for n in range(120)]
    stream = av.stream(requests, temperature=0.0, max_new_tokens=LONGEST, seed=0)
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            counters = (await client.get(f"{server.url}/metrics")).text
            lines = [line for line in counters.splitlines() if line.startswith("vllm:num_requests_")]
            if lines and all(line.endswith(" 0.0") for line in lines):
                break
            await asyncio.sleep(0.05)
