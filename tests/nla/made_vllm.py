"""A small HTTP server with the addresses of a vLLM server, which misbehaves as a test wants it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

Lines = Callable[[], AsyncIterator[str]]


class MadeVllm:
    """Answers as vLLM does, with `words` as every reading, but for what a test sets."""

    def __init__(self, prompt: list[int], words: list[int]) -> None:
        self.url = ""
        self.prompt = prompt
        self.words = words
        self.well: dict[str, Callable[[], Response]] = {
            "health": lambda: PlainTextResponse(""),
            "models": lambda: JSONResponse({"data": [{"id": "av"}]}),
            "tokenize": lambda: JSONResponse({"tokens": self.prompt}),
        }
        self.answers = dict(self.well)
        self.lines: Lines = self.reading
        """What a reading is answered with."""
        self.probe: Callable[[], Response] = lambda: JSONResponse({"choices": []})
        """What a request that is not streamed is answered with."""
        self.asked: dict[str, int] = {}
        """How often each address was asked."""
        self.changed = asyncio.Condition()
        self.open = 0
        self.most = 0
        """Readings that were open at a time."""
        routes = [("/health", "health"), ("/v1/models", "models"), ("/tokenize", "tokenize")]
        self.app = Starlette(
            routes=[
                *(Route(path, self._plain(name), methods=["GET", "POST"]) for path, name in routes),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what the server was asked for fulfils a condition."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(condition)

    async def looks(self, name: str, more: int = 2) -> None:
        """Wait until an address has been asked `more` times from now on."""
        goal = self.asked.get(name, 0) + more
        await self.until(lambda: self.asked.get(name, 0) >= goal)

    async def reading(self) -> AsyncIterator[str]:
        """A whole reading, two tokens an event."""
        for n in range(0, len(self.words), 2):
            yield self.event(self.words[n : n + 2])
        yield self.event([], "stop")
        yield "data: [DONE]\n\n"

    @staticmethod
    def event(ids: list[int], finish: str | None = None) -> str:
        """One event of the first sample."""
        choice = {"index": 0, "token_ids": ids, "finish_reason": finish}
        return f"data: {json.dumps({'choices': [choice]})}\n\n"

    async def _note(self, name: str, opened: int = 0) -> None:
        async with self.changed:
            self.asked[name] = self.asked.get(name, 0) + (opened >= 0)
            self.open += opened
            self.most = max(self.most, self.open)
            self.changed.notify_all()

    def _plain(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            await self._note(name)
            return self.answers[name]()

        return answer

    async def _chat(self, request: Request) -> Response:
        if not (await request.json()).get("stream"):
            await self._note("probe")
            return self.probe()

        async def body() -> AsyncIterator[str]:
            await self._note("reading", 1)
            try:
                async for line in self.lines():
                    yield line
            finally:
                await asyncio.shield(self._note("reading", -1))

        return StreamingResponse(body(), media_type="text/event-stream")


@asynccontextmanager
async def serving(made: MadeVllm) -> AsyncIterator[MadeVllm]:
    """The server on a port of loopback. What is still open at the end is cut off."""
    config = uvicorn.Config(
        made.app, host="127.0.0.1", port=0, lifespan="off", log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    sockets[0].listen()
    made.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    task = asyncio.create_task(server.serve(sockets=sockets))
    try:
        yield made
    finally:
        server.should_exit = True
        await task
