"""The client of vLLM servers, against servers on loopback that misbehave. Real ones: tests/engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from transformers import AutoTokenizer

from server.errors import CheckpointError, NotReady, SettingsError
from server.nla.checkpoints.specs import read_av
from server.nla.verbalisers import replicas
from server.nla.verbalisers.base import Failed, Finished, Outcome, ReadingRequest, TextDelta
from server.nla.verbalisers.prompt import prompt_ids
from server.nla.verbalisers.vllm_requests import Timeouts
from server.nla.verbalisers.vllm_server import VllmServerVerbaliser
from tests.nla.made_vllm import MadeVllm, serving

pytestmark = pytest.mark.anyio

SAYS = "cats purr"
HTML = "<html>\n<h1>Bad gateway</h1></html>"


class Setting:
    """Servers and the client of them, which ends with the test."""

    def __init__(self, folder: Path, tokenizer: Any, stack: AsyncExitStack) -> None:
        self.spec = read_av(folder)
        self.tokenizer = tokenizer
        self._stack = stack

    async def server(self) -> MadeVllm:
        words = self.tokenizer(f"<explanation>{SAYS}</explanation>")["input_ids"]
        made = MadeVllm(prompt_ids(self.tokenizer, self.spec), words)
        return await self._stack.enter_async_context(serving(made))

    async def client(
        self, *servers: MadeVllm, patience: float = 60.0, reading: float = 60.0, idle: float = 60.0
    ) -> VllmServerVerbaliser:
        urls = [server.url for server in servers]
        timeouts = Timeouts(reading, idle)
        av = VllmServerVerbaliser(self.tokenizer, self.spec, frozenset({2}), urls, patience, timeouts)
        await av.open()
        self._stack.push_async_callback(av.close)
        return av

    async def read(self, av: VllmServerVerbaliser, count: int = 1) -> list[Outcome]:
        """The ends of some readings."""
        row = np.ones(self.spec.d_model, np.float32)
        requests = [ReadingRequest(n, row) for n in range(count)]
        async with asyncio.timeout(60):
            said = [o async for o in av.stream(requests, temperature=0.0, max_new_tokens=50, seed=0)]
        return [outcome for outcome in said if not isinstance(outcome, TextDelta)]


@pytest.fixture(scope="module")
def tokenizer(places: dict[str, Path]) -> Any:
    return AutoTokenizer.from_pretrained(places["av"])


@pytest.fixture
async def setting(
    places: dict[str, Path], tokenizer: Any, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[Setting]:
    monkeypatch.setattr(replicas, "LOOK", 0.01)
    async with AsyncExitStack() as stack:
        yield Setting(places["av"], tokenizer, stack)


def finished(ends: list[Outcome]) -> list[str]:
    return [end.text for end in ends if isinstance(end, Finished)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the client finds out by itself."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a property tells of no change
            await asyncio.sleep(0.005)


BAD: dict[str, tuple[str, Callable[[], Response], str]] = {
    "a page": ("models", lambda: HTMLResponse(HTML), "Bad gateway"),
    "no model": ("models", lambda: JSONResponse({"data": []}), "at least 1 item"),
    "a list": ("models", lambda: JSONResponse([]), "in '"),
    "another prompt": ("tokenize", lambda: JSONResponse({"tokens": [1, 2, 3]}), "makes another prompt"),
    "no tokens": ("tokenize", lambda: PlainTextResponse("ok"), "'ok'"),
    "a refusal": ("tokenize", lambda: JSONResponse({"message": "no embeds"}, 400), "no embeds"),
    "an error": ("models", lambda: PlainTextResponse("", 500), "500"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_server_that_answers_badly_for_a_while_is_used_again_afterwards(
    setting: Setting, what: str
) -> None:
    name, bad, reason = BAD[what]
    server = await setting.server()
    av = await setting.client(server)
    server.answers |= {"health": lambda: PlainTextResponse("", 503), name: bad}
    await until(lambda: av.unavailable_reason is not None)
    server.answers["health"] = server.well["health"]
    await server.looks(name)  # it is looked at again and again
    await until(lambda: reason in str(av.unavailable_reason))
    server.answers = dict(server.well)
    await until(lambda: av.unavailable_reason is None)
    assert finished(await setting.read(av)) == [SAYS]


@pytest.mark.parametrize("what", BAD)
async def test_a_server_that_answers_badly_from_the_start_is_refused_with_the_reason(
    setting: Setting, what: str
) -> None:
    name, bad, reason = BAD[what]
    server = await setting.server()
    server.answers[name] = bad
    with pytest.raises((SettingsError, CheckpointError)) as caught:
        await setting.client(server)
    assert reason in caught.value.detail
    assert server.url in caught.value.detail


@pytest.mark.parametrize("url", ["http://[", "127.0.0.1:80", "nothing"])
async def test_an_address_that_is_none_is_refused_with_the_reason(setting: Setting, url: str) -> None:
    made = MadeVllm([], [])
    made.url = url
    with pytest.raises(SettingsError, match="No vLLM server answers"):
        await setting.client(made)


async def gibberish() -> AsyncIterator[str]:
    yield f"data: {' '.join(HTML.split())}\n\n"


async def strange_sample() -> AsyncIterator[str]:
    yield 'data: {"choices": [{"index": 7, "token_ids": [5]}]}\n\n'


async def no_event() -> AsyncIterator[str]:
    yield "data: 17\n\n"


async def strange_tokens() -> AsyncIterator[str]:
    yield 'data: {"choices": [{"index": 0, "token_ids": [-1, "x"]}]}\n\n'


@pytest.mark.parametrize("lines", [gibberish, strange_sample, no_event, strange_tokens])
async def test_a_line_that_cannot_be_read_fails_that_reading_alone_and_for_the_time_being(
    setting: Setting, lines: Any
) -> None:
    server = await setting.server()
    av = await setting.client(server)
    server.lines = lines
    [end] = await setting.read(av)
    assert isinstance(end, Failed)
    assert end.retryable
    assert f"The vLLM server at {server.url} sent what cannot be read" in end.reason
    server.lines = server.reading
    assert finished(await setting.read(av)) == [SAYS]


async def test_a_reading_is_asked_for_again_after_a_line_that_cannot_be_read(setting: Setting) -> None:
    server = await setting.server()
    av = await setting.client(server)

    async def better() -> AsyncIterator[str]:
        server.lines = server.reading
        yield server.event(server.words[:4])
        yield "data: {\n\n"

    server.lines = better
    assert finished(await setting.read(av)) == [SAYS]
    assert server.asked["reading"] == 2


async def hanging() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield ""


async def test_what_hangs_on_one_server_is_read_by_another(setting: Setting) -> None:
    hung, well = await setting.server(), await setting.server()
    hung.lines = hanging
    hung.probe = lambda: PlainTextResponse("", 500)
    av = await setting.client(hung, well, idle=0.2)
    assert finished(await setting.read(av, 6)) == [SAYS] * 6
    assert hung.asked["reading"] > 0
    await hung.looks("probe")  # its health is well all the while
    asked = hung.asked["reading"]
    assert finished(await setting.read(av, 6)) == [SAYS] * 6
    assert hung.asked["reading"] == asked


async def test_a_server_that_hung_is_used_again_when_it_writes_again(setting: Setting) -> None:
    server = await setting.server()
    server.lines = hanging
    server.probe = lambda: PlainTextResponse("", 500)
    av = await setting.client(server, patience=0.2, idle=0.2)
    with pytest.raises(NotReady, match="500"):
        await setting.read(av)
    server.lines = server.reading
    server.probe = lambda: JSONResponse({})
    await until(lambda: av.unavailable_reason is None)
    assert finished(await setting.read(av)) == [SAYS]


async def test_a_server_that_is_busy_with_others_does_not_count_as_hung(setting: Setting) -> None:
    """Two requests wait at the server without a word for longer than it may be silent, while a third is
    written there.
    """
    server = await setting.server()
    idle = 1.0
    av = await setting.client(server, idle=idle)
    first, loop = asyncio.Event(), asyncio.get_running_loop()

    async def queued() -> AsyncIterator[str]:
        if server.open == 1:
            await server.until(lambda: server.open == 3)
            end = loop.time() + 1.5 * idle
            while loop.time() < end:
                await server.looks("health", 1)
                yield server.event(server.words[:1])
            first.set()
        await first.wait()
        async for line in server.reading():
            yield line

    server.lines = queued
    assert len(finished(await setting.read(av, 3))) == 3
    assert server.asked["reading"] == 3


async def test_a_reading_that_never_ends_is_given_up_after_its_time(setting: Setting) -> None:
    server = await setting.server()

    async def endless() -> AsyncIterator[str]:
        while True:
            yield server.event([])
            await asyncio.sleep(0.01)

    server.lines = endless
    av = await setting.client(server, reading=0.3)
    [end] = await setting.read(av)
    assert isinstance(end, Failed)
    assert not end.retryable  # it would take as long again
    assert "within 0.3 s (NLA_VLLM_READING_TIMEOUT)" in end.reason
    await server.until(lambda: server.open == 0)  # it is told that nobody waits


async def test_each_server_more_is_room_for_as_many_readings_more(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "IN_FLIGHT", 3)
    servers = [await setting.server(), await setting.server()]
    av = await setting.client(*servers)
    assert av.max_concurrency == 6
    full = asyncio.Event()

    def held(server: MadeVllm) -> Any:
        async def lines() -> AsyncIterator[str]:
            if all(other.open == 3 for other in servers):
                full.set()
            await full.wait()
            async for line in server.reading():
                yield line

        return lines

    for server in servers:
        server.lines = held(server)
    assert len(finished(await setting.read(av, 20))) == 20
    assert [server.most for server in servers] == [3, 3]
