"""A real server on loopback, asked for analyses by a client that notes when each stage comes."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from server.app import create_app
from server.nla.models.loaded_pair import LoadedPair
from server.settings import Settings

TEXT = (
    "The lighthouse keeper counted the ships each evening and wrote their names in a heavy book. One night a small "
    "boat without a name came in from the north, and nobody was on board. He lit the lamp, went down to the rocks with "
    "a rope and a lantern, and found a basket of warm bread under the bench. In the morning the whole village stood "
    "on the pier and talked about the storm, the price of salt, and the music that some of them had heard at night. "
)


@dataclass
class Heartbeat:
    """Delays of the event loop, by a task that wants to run every 5 ms."""

    stalls: list[float] = field(default_factory=list)

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.stalls.append(time.perf_counter() - before - 0.005)


class Served:
    """A real server on loopback, in a thread with a loop of its own. `watched`: with a look every 5 ms at how long its
    loop stalls, which costs it a little.
    """

    def __init__(self, folder: Path, settings: Settings | None = None, *, watched: bool = False) -> None:
        self.app = create_app(settings or Settings(data_dir=folder, port=0))
        self.server = uvicorn.Server(uvicorn.Config(self.app, host="127.0.0.1", port=0, log_level="error"))
        self.heart = Heartbeat()
        self.watched = watched
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        beating = [asyncio.create_task(self.heart.beat())] if self.watched else []
        await self.server.serve()
        for task in beating:
            task.cancel()

    def __enter__(self) -> Served:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=None)
        while self.client.get("/readyz").status_code != 200:
            time.sleep(0.1)
        gc.collect()
        gc.freeze()  # as `nla-explorer serve` does once the models are there
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.app.state.analyses.stop_streams()
        self.server.should_exit = True
        self.thread.join()

    @property
    def pair(self) -> LoadedPair:
        pair: LoadedPair = self.app.state.models.resident()
        return pair

    def ids(self, count: int, salt: str) -> list[int]:
        """The first `count` tokens of a text that begins with `salt`."""
        return self.pair.prompter.encode(None, f"{salt} " + TEXT * 8)[:count]

    def analyse(
        self, count: int, salt: str, positions: list[int] | None = None, reading_tokens: int = 200
    ) -> dict[str, float]:
        """Seconds from the POST to each stage of an analysis of `count` tokens, all of them read unless told
        otherwise.
        """
        prompter = self.pair.prompter
        text = prompter.tokenizer.decode(self.ids(count, salt))
        first = len(self.heart.stalls)
        start = time.perf_counter()
        voice = {"max_new_tokens": reading_tokens}
        body = {"text": text, "positions": positions or "all", "verbalise": voice}
        made = self.client.post("/api/analyses", json=body).json()
        seen: dict[str, float] = {}
        with self.client.stream("GET", f"{made['url'].replace('/a/', '/api/analyses/')}/events") as stream:
            kind = ""
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    kind = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    now = time.perf_counter() - start
                    name = self._stage(kind, line.removeprefix("data:"))
                    if name:
                        seen.setdefault(name, now)
                    if kind == "reading":  # one that is whole before it is listened to has no deltas
                        seen.setdefault("first word of a reading", now)
                    if name == "first score":
                        seen["last score"] = now
                    if kind == "done":
                        break
        if self.watched:
            seen["longest stall of the event loop"] = max(self.heart.stalls[first:])
        seen["positions"] = float(len(prompter.encode(None, text)))
        return seen

    def _stage(self, kind: str, data: str) -> str | None:
        match kind:
            case "tokens" | "lens" | "done":
                return kind
            case "tuned_lens":
                return "tuned lens"
            case "delta":
                return "first word of a reading"
            case "reading" if json.loads(data).get("cos") is not None:
                return "first score"
        return None
