"""The AV in a batched transformers loop: the engine where there is no vLLM.

All prompts are the same but for one row, so the part before the marker is computed once. Rows that begin together stay
in lockstep (same prompt length), so a cohort needs no padding and no mask. The first order runs as a cohort of its own:
its first word is not kept waiting by the prefill of all the others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server.errors import CheckpointError
from server.nla.checkpoints.profile import adding
from server.nla.checkpoints.specs import AvSpec
from server.nla.models.model_parts import head, text_config, text_model
from server.nla.models.sampling import RowCache, next_tokens, row_generator
from server.nla.models.target import stop_ids
from server.nla.verbalisers.base import UNFIT, Failed, Outcome, ReadingRequest, TextDelta
from server.nla.verbalisers.prompt import AvPrompt
from server.nla.verbalisers.reading_decoder import ReadingDecoder

COHORT = 64
"""Rows in lockstep. Larger ones are hardly faster on a CPU and make the first of them wait longer."""
HEAD_START = 8
"""Tokens that the first order decodes before the others begin: the opening tag and a few words."""
COMPACT = 0.125
"""Share of finished rows at which a cohort is copied without them."""


class TransformersVerbaliser:
    """An AV held by transformers, on a thread of its own. Each forward pass waits for `compute_lock`, which
    models on one processor share.
    """

    name = "transformers"
    unavailable_reason = None
    max_concurrency = None

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        spec: AvSpec,
        compute_lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.spec = spec
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="av")
        self.compute_lock = compute_lock or nullcontext()
        self.stop_ids = stop_ids(model)
        self.prompt = AvPrompt.of(tokenizer, spec)
        self._shared: RowCache | None = None
        self._check_rows()

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncIterator[Outcome]:
        """See `Verbaliser.stream`. The loop runs on the AV's thread and hands over through a queue."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[list[Outcome] | None] = asyncio.Queue()
        halt = threading.Event()

        def put(outcomes: list[Outcome] | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, outcomes)

        def work() -> None:
            try:
                for outcomes in self.steps(requests, temperature, max_new_tokens, seed):
                    if halt.is_set():
                        return
                    if outcomes:
                        put(outcomes)
            finally:
                put(None)

        job = loop.run_in_executor(self._executor, work)
        try:
            while (outcomes := await queue.get()) is not None:
                for outcome in outcomes:
                    yield outcome
            await job
        finally:
            halt.set()

    def counters(self) -> dict[str, float]:
        """Nothing is counted: no request, no cache between readings."""
        return {}

    async def open(self) -> None:
        """The model is there already."""

    async def close(self) -> None:
        """End the thread after the work in flight; the model goes with this object."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def steps(
        self, requests: Sequence[ReadingRequest], temperature: float, max_new_tokens: int, seed: int
    ) -> Iterator[list[Outcome]]:
        """One list a decoding step. Cohorts take turns; a new one begins when an old one has thinned out."""
        fit: list[ReadingRequest] = []
        for request in requests:
            if self.prompt.fits(request):
                fit.append(request)
            else:
                yield [Failed(request.key, UNFIT)]
        if not fit:
            return
        make = self._maker(temperature, max_new_tokens, seed)
        first, waiting = make(fit[:1]), fit[1:]
        for _ in range(HEAD_START):
            if first.rows:
                yield first.step()
        cohorts = [first]
        while waiting or any(cohort.rows for cohort in cohorts):
            cohorts = [cohort for cohort in cohorts if cohort.rows]
            if waiting and sum(len(cohort.rows) for cohort in cohorts) <= COHORT // 8:
                cohorts.append(make(waiting[:COHORT]))
                waiting = waiting[COHORT:]
            for cohort in cohorts:
                yield cohort.step()

    def _maker(
        self, temperature: float, max_new_tokens: int, seed: int
    ) -> Callable[[Sequence[ReadingRequest]], _Cohort]:
        room = len(self.prompt.ids) + max_new_tokens

        def make(requests: Sequence[ReadingRequest]) -> _Cohort:
            with self.compute_lock, torch.inference_mode():
                return _Cohort(
                    self, requests, temperature=temperature, budget=max_new_tokens, seed=seed, room=room
                )

        return make

    def shared(self) -> RowCache:
        """Keys and values of what stands before the marker; computed once, never written to again."""
        if self._shared is None:
            cache = RowCache(text_config(self.model).num_hidden_layers, self.prompt.slot)
            ids = torch.tensor([self.prompt.ids[: self.prompt.slot]], device=self.model.device)
            text_model(self.model)(input_ids=ids, past_key_values=cache, use_cache=True)
            self._shared = cache
        return self._shared

    def rows(self, requests: Sequence[ReadingRequest]) -> Tensor:
        """[B, P - slot, d]: the input rows from the marker on, with the activations in its place by the profile's rule.

        The embedding module is called as the model calls it, so a scaling inside it (Gemma's sqrt(d)) is kept; the
        injected row is put in after that and is never scaled.
        """
        ids = torch.tensor([self.prompt.ids[self.prompt.slot :]], device=self.model.device)
        embeds: Tensor = self.model.get_input_embeddings()(ids).expand(len(requests), -1, -1).clone()
        if not self.spec.profile.adds:
            embeds[:, 0] = self.prompt.rows(requests).to(embeds)
        return embeds

    def added(self, requests: Sequence[ReadingRequest]) -> Tensor | None:
        """[B, d]: what is added to the residual stream at the marker, where the profile adds."""
        return self.prompt.rows(requests).to(self.model.device) if self.spec.profile.adds else None

    @torch.inference_mode()
    def _check_rows(self) -> None:
        """Check that block 0 takes the same input from rows as from ids, but for the injected row."""
        slot = self.prompt.slot
        ids = torch.tensor([self.prompt.ids], device=self.model.device)
        rows = self.rows([ReadingRequest(0, np.ones(self.spec.d_model, np.float32))])
        own, last = self._entering(input_ids=ids)
        fed, _ = self._entering(inputs_embeds=rows)
        expected = torch.cat([rows[:, :1], own[:, slot + 1 :]], 1)
        if not torch.allclose(fed.float(), expected.float(), rtol=0.02, atol=1e-6):
            raise CheckpointError(
                f"{self.spec.folder}: rows that are fed to this AV do not enter its first block as its own embeddings "
                "do: its embedding is scaled (as Gemma's, by the root of d) outside of where this engine looks.",
                check="embedding",
            )
        if not bool(torch.isfinite(last).all()):
            raise CheckpointError(
                f"{self.spec.folder}: what the AV makes of its own prompt is not finite: weights that overflowed "
                "(float16) or were damaged.",
                check="finite",
            )

    def _entering(self, **feed: Tensor) -> tuple[Tensor, Tensor]:
        """[1, n, d] that enters block 0, and what leaves the last one."""
        seen: list[Tensor] = []
        stack = text_model(self.model)
        hook = stack.layers[0].register_forward_pre_hook(
            lambda _module, inputs, named: seen.append(inputs[0] if inputs else named["hidden_states"]),
            with_kwargs=True,
        )
        try:
            last = stack(**feed, use_cache=False).last_hidden_state
        finally:
            hook.remove()
        return seen[0], last


class _Row:
    """An order, its random source and its reading."""

    def __init__(self, request: ReadingRequest, seed: int, decoder: ReadingDecoder) -> None:
        self.request = request
        self.generator = row_generator(seed, request.sample)
        self.decoder = decoder


class _Cohort:
    """Rows that began together and decode in lockstep."""

    def __init__(
        self,
        av: TransformersVerbaliser,
        requests: Sequence[ReadingRequest],
        *,
        temperature: float,
        budget: int,
        seed: int,
        room: int,
    ) -> None:
        self.av = av
        self.temperature = temperature
        form = av.spec.profile.reading
        self.rows = [
            _Row(request, seed, ReadingDecoder(av.tokenizer, av.stop_ids, budget, form))
            for request in requests
        ]
        self.places = list(range(len(requests)))  # where each row stands in the cache
        self.cache = RowCache.spread(av.shared(), len(requests), room)
        self.size = len(requests)
        self.feed: dict[str, Tensor] = {"inputs_embeds": av.rows(requests)}
        self.added = av.added(requests)

    def step(self) -> list[Outcome]:
        """Decode one token of every row."""
        with self.av.compute_lock, torch.inference_mode():
            return self._step()

    def _step(self) -> list[Outcome]:
        model = self.av.model
        stack = text_model(model)
        with adding(stack.layers, self.added):
            out = stack(**self.feed, past_key_values=self.cache, use_cache=True)
        hidden, self.added = out.last_hidden_state[:, -1], None
        alive = torch.tensor(self.places)
        chosen = next_tokens(
            head(model, hidden[alive]), self.temperature, [row.generator for row in self.rows]
        )
        outcomes: list[Outcome] = []
        kept: list[int] = []
        tokens = chosen.tolist()
        for n, (row, token) in enumerate(zip(self.rows, tokens, strict=True)):
            if bit := row.decoder.add([token]):
                outcomes.append(TextDelta(row.request.key, bit))
            if row.decoder.ended:
                outcomes.append(row.decoder.finish(row.request.key))
            else:
                kept.append(n)
        fed = torch.full((self.size, 1), self.av.prompt.ids[0], device=chosen.device)
        fed[alive, 0] = chosen
        self.rows = [self.rows[n] for n in kept]
        self.places = [self.places[n] for n in kept]
        if self.rows and len(self.rows) < self.size and self.size - len(self.rows) >= COMPACT * self.size:
            rows = torch.tensor(self.places, device=chosen.device)
            self.cache.keep(rows)
            fed = fed[rows]
            self.size, self.places = len(self.rows), list(range(len(self.rows)))
        self.feed = {"input_ids": fed}
        return outcomes
