"""The AV behind one or several `vllm serve --enable-prompt-embeds`, over the OpenAI-compatible API.

Of the prompt only the activation's row is sent; the server's chat template writes the rest around it. At the start, and
whenever a server comes back, the ids that it makes of this are compared with the prompt of the sidecar.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import torch

from server.errors import CheckpointError, NotReady, SettingsError
from server.nla.checkpoint import AvSpec
from server.nla.verbalisers.base import CLOSING, UNFIT, Delta, Failed, Order, Outcome
from server.nla.verbalisers.prompt import AvPrompt, Pieces
from server.nla.verbalisers.requests import Counts, Request, requests
from server.nla.verbalisers.writing import Writing

_log = logging.getLogger(__name__)

IN_FLIGHT = 256
"""Requests that are open at a time, over all servers."""
LOOK = 2.0
"""Seconds between looks at each server's health."""
PATIENCE = 60.0
"""Seconds that a reading waits for a server when none answers."""
TRIES = 6
"""Servers that one reading is tried on before it is marked as failed."""


class _Gone(Exception):
    """A server that was reading has gone, or says that it cannot."""


@dataclass
class Replica:
    """One address: a server, or a router in front of several."""

    url: str
    model: str = ""
    up: bool = False
    open: int = 0
    """Requests that it is busy with."""


class VllmServerVerbaliser:
    """An AV held by vLLM servers that run elsewhere."""

    name = "vllm-server"
    at_once = IN_FLIGHT

    def __init__(
        self,
        tokenizer: Any,
        spec: AvSpec,
        stop_ids: frozenset[int],
        urls: Sequence[str],
        patience: float = PATIENCE,
    ) -> None:
        self.tokenizer = tokenizer
        self.stop_ids = stop_ids
        self.prompt = AvPrompt.of(tokenizer, spec)
        self._pieces = Pieces.of(tokenizer, spec)
        self.replicas = [Replica(url.rstrip("/")) for url in urls]
        self._patience = patience
        self._counts = Counts()
        self._up = asyncio.Condition()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(10.0, read=300.0, pool=None),
            limits=httpx.Limits(max_connections=IN_FLIGHT + 8, max_keepalive_connections=IN_FLIGHT),
        )
        self._watch: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Set while no server answers."""
        if any(replica.up for replica in self.replicas):
            return None
        return f"No vLLM server answers at {', '.join(replica.url for replica in self.replicas)}."

    async def open(self) -> None:
        """Look at every server. Raises SettingsError if none answers, CheckpointError if one has another prompt."""
        try:
            await asyncio.gather(*(self._look(replica) for replica in self.replicas))
            if self.trouble:
                raise SettingsError(
                    f"{self.trouble} Start one with `vllm serve {self.prompt.spec.folder} --enable-prompt-embeds`."
                )
        except BaseException:
            await self._client.aclose()
            raise
        self._watch = asyncio.create_task(self._watching(), name="vllm-servers")

    async def stream(
        self, orders: Sequence[Order], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncIterator[Outcome]:
        """See `Verbaliser.stream`. Raises NotReady when no server has answered for `patience` seconds."""
        queue: asyncio.Queue[Outcome | None] = asyncio.Queue()
        fit = [order for order in orders if self.prompt.fits(order)]
        for order in orders:
            if not self.prompt.fits(order):
                yield Failed(order.key, UNFIT)
        params = {"temperature": temperature, "max_completion_tokens": max_new_tokens, "seed": seed}

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                for request in requests(fit, temperature):
                    await self._slots.acquire()
                    task = group.create_task(self._read(request, params, queue))
                    task.add_done_callback(lambda _: self._slots.release())

        job = asyncio.create_task(work())
        job.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (outcome := await queue.get()) is not None:
                yield outcome
            try:
                await job
            except* NotReady as group:
                raise group.exceptions[0] from None
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)

    def figures(self) -> dict[str, float]:
        """See `Verbaliser.figures`."""
        return self._counts.figures()

    async def close(self) -> None:
        """Let the servers be."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._client.aclose()

    # Servers

    async def _watching(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            await asyncio.gather(*(self._look(replica) for replica in self.replicas))

    async def _look(self, replica: Replica) -> None:
        """Ask for its health; of one that was away also what it serves."""
        try:
            (await self._client.get(f"{replica.url}/health", timeout=5.0)).raise_for_status()
            if not replica.up:
                await self._check(replica)
        except httpx.HTTPError as error:
            if replica.up:
                _log.warning("the vLLM server at %s does not answer: %s", replica.url, error)
            replica.up = False
            return
        if not replica.up:
            replica.up = True
            async with self._up:
                self._up.notify_all()

    async def _check(self, replica: Replica) -> None:
        """The ids that the server's template makes of a request must be those of our prompt, but for the slot."""
        found = await self._client.get(f"{replica.url}/v1/models")
        replica.model = found.raise_for_status().json()["data"][0]["id"]
        body = {"model": replica.model, "messages": self._messages(torch.zeros(1, self.prompt.spec.d_model))}
        answer = await self._client.post(f"{replica.url}/tokenize", json=body)
        if answer.status_code == 404:  # a router that does not pass this on
            _log.warning("%s does not say what it makes of a prompt: not checked", replica.url)
            return
        if answer.status_code == 400:
            raise CheckpointError(f"The vLLM server at {replica.url} refuses prompts: {_reason(answer.text)}")
        ids = answer.raise_for_status().json()["tokens"]
        ours, slot = self.prompt.ids, self.prompt.slot
        if ids[:slot] != ours[:slot] or ids[slot + 1 :] != ours[slot + 1 :]:
            raise CheckpointError(
                f"The vLLM server at {replica.url} makes another prompt of its chat template ({len(ids)} tokens, we "
                f"{len(ours)}): the readings would be worth little. Serve the AV with the template that "
                "`nla-explorer pairs template NAME` prints (--chat-template FILE)."
            )

    async def _pick(self) -> Replica:
        """The least busy server; waits for one when all are away."""
        deadline = time.monotonic() + self._patience
        async with self._up:
            while not (there := [replica for replica in self.replicas if replica.up]):
                try:
                    await asyncio.wait_for(self._up.wait(), deadline - time.monotonic())
                except TimeoutError:
                    raise NotReady(f"{self.trouble} What has been read is kept; ask again later.") from None
        return min(there, key=lambda replica: replica.open)

    # Readings

    async def _read(
        self, request: Request, params: dict[str, Any], queue: asyncio.Queue[Outcome | None]
    ) -> None:
        """One request, on another server if one goes away; words that have been told are not told again."""
        told = dict.fromkeys(range(len(request.orders)), "")
        done: set[int] = set()
        for _ in range(TRIES):
            replica = await self._pick()
            replica.open += 1
            try:
                async for index, outcome in self._answers(replica, request, params):
                    if index in done:
                        continue
                    if isinstance(outcome, Delta):
                        text = outcome.text
                        if len(text) > len(told[index]):
                            queue.put_nowait(Delta(outcome.key, text[len(told[index]) :]))
                            told[index] = text
                    else:
                        done.add(index)
                        queue.put_nowait(outcome)
                return
            except (httpx.HTTPError, _Gone) as error:
                _log.warning("the vLLM server at %s went away while reading: %s", replica.url, error)
                replica.up = False
            finally:
                replica.open -= 1
        for index, order in enumerate(request.orders):
            if index not in done:
                reason = f"{TRIES} vLLM servers went away while reading this."
                queue.put_nowait(Failed(order.key, reason, passing=True))

    async def _answers(
        self, replica: Replica, request: Request, params: dict[str, Any]
    ) -> AsyncIterator[tuple[int, Outcome]]:
        """(sample, outcome) of one request; a Delta here carries all words so far."""
        orders = request.orders
        budget = params["max_completion_tokens"]
        form = self.prompt.spec.profile.reading
        writings = [Writing(self.tokenizer, self.stop_ids, budget, form) for _ in orders]
        said = [""] * len(orders)
        body = {
            "model": replica.model,
            "messages": self._messages(self.prompt.rows(orders[:1])),
            "n": len(orders),
            "stop": [CLOSING],
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "stream": True,
            "stream_interval": request.interval,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "cache_salt": self.prompt.salt,
            **params,
            "seed": (params["seed"] + orders[0].sample) % 2**31,
        }
        ended = 0
        # In a header, because a server with another scheduling policy overlooks it there.
        place = {"X-Vllm-Priority": str(request.rank)}
        url = f"{replica.url}/v1/chat/completions"
        async with self._client.stream("POST", url, json=body, headers=place) as answer:
            if answer.status_code >= 500:
                raise _Gone(f"status {answer.status_code}")
            if answer.status_code >= 400:
                reason = _reason((await answer.aread()).decode(errors="replace"))
                for index, order in enumerate(orders):
                    yield index, Failed(order.key, f"The vLLM server refused this: {reason}")
                return
            async for line in answer.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    raise _Gone(str(event["error"])[:200])
                self._count(event.get("usage"))
                for choice in event.get("choices", ()):
                    index = choice["index"]
                    if bit := writings[index].add(choice.get("token_ids") or ()):
                        said[index] += bit
                        yield index, Delta(orders[index].key, said[index])
                    if choice.get("finish_reason") is not None:
                        ended += 1
                        yield index, writings[index].finish(orders[index].key)
        if ended < len(orders):
            raise _Gone("the answer broke off")

    def _messages(self, row: torch.Tensor) -> list[dict[str, Any]]:
        """One user message: what the template says before and after the activation, and the row [1, d] between."""
        buffer = io.BytesIO()
        torch.save(row.float().clone(), buffer)
        parts = [
            {"type": "text", "text": self._pieces.before},
            {"type": "prompt_embeds", "data": base64.b64encode(buffer.getvalue()).decode()},
            {"type": "text", "text": self._pieces.after},
        ]
        return [{"role": "user", "content": [part for part in parts if part.get("text") != ""]}]

    def _count(self, usage: dict[str, Any] | None) -> None:
        if usage:
            details = usage.get("prompt_tokens_details") or {}
            self._counts.prompt_tokens += usage.get("prompt_tokens", 0)
            self._counts.cached_tokens += details.get("cached_tokens") or 0
            self._counts.reading_tokens += usage.get("completion_tokens", 0)


def template_for(tokenizer: Any, spec: AvSpec) -> str:
    """A chat template for `vllm serve`: one user message in parts, as the AV's own template renders it in one piece.

    vLLM joins the parts with line breaks for templates that take a message as one string; this one walks them.
    """
    pieces = Pieces.of(tokenizer, spec)
    opening, closing = (json.dumps(text, ensure_ascii=False) for text in (pieces.opening, pieces.closing))
    return (
        f"{{{{ {opening} }}}}{{% for message in messages %}}{{% for part in message['content'] %}}"
        f"{{{{ part['text'] }}}}{{% endfor %}}{{% endfor %}}{{{{ {closing} }}}}"
    )


def _reason(text: str) -> str:
    try:
        found = json.loads(text)
        return str(found.get("error", found).get("message", text))[:300]
    except (ValueError, AttributeError):
        return text[:300]
