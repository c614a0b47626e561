"""Servers of an AV that go away, or are not those that were meant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.errors import CheckpointError, NotReady, SettingsError
from server.nla.checkpoints.specs import AvSpec, read_av
from server.nla.types import Floats
from server.nla.verbalisers.base import ReadingRequest, TextDelta, Verbaliser
from server.nla.verbalisers.vllm_server import VllmServerVerbaliser
from tests.engines.conftest import (
    LONGEST,
    Server,
    copy_with,
    finished,
    ordered,
    outcomes,
    serving,
    until,
)  # fmt: skip

pytest.importorskip("vllm")
pytestmark = pytest.mark.anyio


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


@pytest.fixture(scope="module")
def second(spec: AvSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another server of the same AV, which tests kill."""
    with serving(spec.folder, tmp_path_factory.mktemp("second") / "log") as server:
        yield server


@pytest.fixture
def doomed(second: Server) -> Server:
    """The second server, up again if it was killed."""
    if second.process is None:
        second.start()
        second.wait()
    return second


async def test_when_none_is_left_it_says_so_and_goes_on_when_one_is_back(
    remote: Any, doomed: Server, activations: Floats
) -> None:
    av = await remote(doomed.url, patience=0.5)
    doomed.kill()
    with pytest.raises(NotReady, match=r"No vLLM server answers at http://127\.0\.0\.1"):
        await outcomes(av, ordered(activations[:2]))
    assert av.unavailable_reason
    doomed.start()
    await until(lambda: av.unavailable_reason is None)
    assert len(finished(await outcomes(av, ordered(activations[:2])))) == 2


async def test_a_server_that_dies_loses_no_reading_when_another_is_there(
    remote: Any, server: Server, doomed: Server, activations: Floats
) -> None:
    expected = finished(await outcomes(await remote(server.url), ordered(activations)))
    av = await remote(doomed.url, server.url)
    said = []
    async for outcome in av.stream(ordered(activations), temperature=0.0, max_new_tokens=LONGEST, seed=0):
        if not said:
            doomed.kill()
        said.append(outcome)
    assert {n: r.text for n, r in finished(said).items()} == {n: r.text for n, r in expected.items()}
    bits = {n: "".join(o.text for o in said if isinstance(o, TextDelta) and o.key == n) for n in expected}
    assert bits == {n: reading.text for n, reading in expected.items()}  # nothing was told twice


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
