"""The AV behind one or several `vllm serve --enable-prompt-embeds`, over the OpenAI-compatible API.

Of the prompt only the activation's row is sent; the server's chat template writes the rest around it. At the start, and
whenever a server comes back, the ids that it makes of this are compared with the prompt of the sidecar.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from server.nla.checkpoints.specs import AvSpec
from server.nla.verbalisers.base import CLOSING, UNFIT, Failed, Outcome, ReadingRequest, TextDelta
from server.nla.verbalisers.prompt import AvPrompt, Pieces
from server.nla.verbalisers.reading_decoder import ReadingDecoder
from server.nla.verbalisers.replicas import PATIENCE, Gone, Replica, Replicas
from server.nla.verbalisers.vllm_api import BadAnswer, Event, Usage, messages, quoted, read_as, refusal
from server.nla.verbalisers.vllm_requests import Counters, SampledRequest, Timeouts, group_samples

_log = logging.getLogger(__name__)

TRIES = 6
"""Number of times that one reading is asked for, of whichever server is the least busy, before it is marked as
failed."""
BUSY = (408, 429)
"""Statuses below 500 by which a server or a router says: not now."""


class VllmServerVerbaliser:
    """An AV held by vLLM servers that run elsewhere."""

    name = "vllm-server"

    def __init__(
        self,
        tokenizer: Any,
        spec: AvSpec,
        stop_ids: frozenset[int],
        urls: Sequence[str],
        patience: float = PATIENCE,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.stop_ids = stop_ids
        self.prompt = AvPrompt.of(tokenizer, spec)
        self._pieces = Pieces.of(tokenizer, spec)
        self._timeouts = timeouts or Timeouts()
        self._replicas = Replicas(urls, self.prompt, self._pieces, self._timeouts, patience)
        self._counts = Counters()

    @property
    def max_concurrency(self) -> int:
        """See `Verbaliser.max_concurrency`: every server takes as many as one does."""
        return self._replicas.capacity

    @property
    def unavailable_reason(self) -> str | None:
        """Set while no server can be used."""
        return self._replicas.unavailable_reason

    async def open(self) -> None:
        """Look at every server. Raises SettingsError if none can be used, CheckpointError if one has another prompt."""
        await self._replicas.open()

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncIterator[Outcome]:
        """See `Verbaliser.stream`. Raises NotReady when no server has answered for `patience` seconds."""
        queue: asyncio.Queue[Outcome | None] = asyncio.Queue()
        fit = [wanted for wanted in requests if self.prompt.fits(wanted)]
        for wanted in requests:
            if not self.prompt.fits(wanted):
                yield Failed(wanted.key, UNFIT)
        params = {"temperature": temperature, "max_completion_tokens": max_new_tokens, "seed": seed}

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                for request in group_samples(fit, temperature):
                    group.create_task(self._read(request, params, queue))

        job = asyncio.create_task(work())
        job.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (outcome := await queue.get()) is not None:
                yield outcome
            try:
                await job
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)

    def counters(self) -> dict[str, float]:
        """See `Verbaliser.counters`."""
        return self._counts.counters()

    async def close(self) -> None:
        """Let the servers be."""
        await self._replicas.close()

    async def _read(
        self, request: SampledRequest, params: dict[str, Any], queue: asyncio.Queue[Outcome | None]
    ) -> None:
        """One request, asked again if its answer is lost or cannot be read; words that have been told are not
        told again.

        What one server could not finish in time is not tried again: it would take as long.
        """
        told = dict.fromkeys(range(len(request.samples)), "")
        done: set[int] = set()
        limit = self._timeouts.reading
        reason, retryable = "", True
        try:
            async with asyncio.timeout(None) as whole:
                for _ in range(TRIES):
                    try:
                        async with self._replicas.least_busy() as replica:
                            if whole.when() is None:
                                whole.reschedule(asyncio.get_running_loop().time() + limit)
                            async for index, outcome in self._answers(replica, request, params):
                                if index not in done:
                                    self._tell(index, outcome, told, done, queue)
                        return
                    except BadAnswer as error:
                        reason = f"The vLLM server at {replica.url} sent what cannot be read: {error}"
                        _log.warning("%s", reason)
                    except (httpx.HTTPError, Gone) as error:
                        problem = str(error) or type(error).__name__
                        reason = (
                            f"The vLLM server at {replica.url} went away while it was reading this: {problem}"
                        )
                        self._replicas.lose(replica, problem)
        except TimeoutError:
            reason = f"No vLLM server finished this within {limit:g} s (NLA_VLLM_READING_TIMEOUT)"
            retryable = False
        for index, wanted in enumerate(request.samples):
            if index not in done:
                queue.put_nowait(Failed(wanted.key, f"{reason}.", retryable))

    @staticmethod
    def _tell(
        index: int,
        outcome: Outcome,
        told: dict[int, str],
        done: set[int],
        queue: asyncio.Queue[Outcome | None],
    ) -> None:
        if isinstance(outcome, TextDelta):
            text = outcome.text
            if len(text) > len(told[index]):
                queue.put_nowait(TextDelta(outcome.key, text[len(told[index]) :]))
                told[index] = text
        else:
            done.add(index)
            queue.put_nowait(outcome)

    async def _answers(
        self, replica: Replica, request: SampledRequest, params: dict[str, Any]
    ) -> AsyncIterator[tuple[int, Outcome]]:
        """(sample, outcome) of one request; a Delta here carries all words so far. Raises Gone and BadAnswer."""
        requests = request.samples
        # In a header, because a server with another scheduling policy overlooks it there.
        place = {"X-Vllm-Priority": str(request.rank)}
        url = f"{replica.url}/v1/chat/completions"
        body = self._body(replica, request, params)
        async with self._replicas.client.stream("POST", url, json=body, headers=place) as answer:
            if answer.status_code >= 500 or answer.status_code in BUSY:
                raise Gone(f"status {answer.status_code}")
            if answer.status_code >= 400:
                reason = refusal((await answer.aread()).decode(errors="replace"))
                for index, wanted in enumerate(requests):
                    yield index, Failed(wanted.key, f"The vLLM server refused this: {reason}")
                return
            kind = answer.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise BadAnswer(f"status {answer.status_code} and {kind or 'nothing'} instead of a stream")
            async for found in self._events(replica, answer, requests, params["max_completion_tokens"]):
                yield found

    async def _events(
        self, replica: Replica, answer: httpx.Response, requests: Sequence[ReadingRequest], budget: int
    ) -> AsyncIterator[tuple[int, Outcome]]:
        form = self.prompt.spec.profile.reading
        decoders = [ReadingDecoder(self.tokenizer, self.stop_ids, budget, form) for _ in requests]
        said = [""] * len(requests)
        ended = 0
        async for line in answer.aiter_lines():
            if not line.startswith("data:") or line == "data: [DONE]":
                continue
            replica.hear()
            event = read_as(Event, line.removeprefix("data:"))
            if event.error is not None:
                raise Gone(str(event.error)[:200])
            self._count(event.usage)
            for choice in event.choices:
                index = choice.index
                if index >= len(requests):
                    raise BadAnswer(f"sample {index + 1} of {len(requests)}, in {quoted(line)}")
                if bit := decoders[index].add(choice.token_ids or ()):
                    said[index] += bit
                    yield index, TextDelta(requests[index].key, said[index])
                if choice.finish_reason is not None:
                    ended += 1
                    yield index, decoders[index].finish(requests[index].key)
        if ended < len(requests):
            raise Gone("the answer broke off")

    def _body(self, replica: Replica, request: SampledRequest, params: dict[str, Any]) -> dict[str, Any]:
        requests = request.samples
        return {
            "model": replica.model,
            "messages": messages(self._pieces, self.prompt.rows(requests[:1])),
            "n": len(requests),
            "stop": [CLOSING],
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "stream": True,
            "stream_interval": request.interval,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "cache_salt": self.prompt.salt,
            **params,
            "seed": (params["seed"] + requests[0].sample) % 2**31,
        }

    def _count(self, usage: Usage | None) -> None:
        if usage:
            details = usage.prompt_tokens_details
            self._counts.prompt_tokens += usage.prompt_tokens
            self._counts.cached_tokens += (details and details.cached_tokens) or 0
            self._counts.reading_tokens += usage.completion_tokens


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
