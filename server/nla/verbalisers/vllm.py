"""The AV in vLLM, inside this server: an engine process that is fed from a thread with an event loop of its own.

The engine belongs to one event loop, and building it blocks that loop for a while; the web server's loop must not
wait, so the engine has its own. A dead engine fails the readings that were in it and is started again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from server.errors import NotReady, SettingsError
from server.nla.checkpoints.specs import AvSpec
from server.nla.memory.estimates import RESERVE
from server.nla.memory.plan import Plan
from server.nla.models.devices import devices
from server.nla.verbalisers.base import CLOSING, UNFIT, Failed, Outcome, ReadingRequest, TextDelta
from server.nla.verbalisers.prompt import AvPrompt
from server.nla.verbalisers.reading_decoder import ReadingDecoder
from server.nla.verbalisers.stale_engines import end_stale_engines, mark_engines
from server.nla.verbalisers.vllm_requests import Counters, SampledRequest, group_samples

_log = logging.getLogger(__name__)

WATCH = 1.0
"""Seconds between looks at an idle engine."""
PAUSES = (0, 2, 5, 15, 30, 60)
"""Seconds to wait before each new start of a dead engine; the last one holds for all further ones."""
TOLD = 30.0
"""Seconds that a dead engine has to fail what was in it; then the next is started whether or not it has."""
PATIENCE = 300.0
"""Seconds that readings wait for a dead engine to come back."""
FEW_CORES = 4
DIED = "The AV's engine stopped while this was being read. It is started again by itself."


@dataclass
class _Call:
    """One call of `stream`: outcomes of its requests on their way to the caller's loop."""

    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[list[Outcome] | None]
    pending: list[Outcome] = field(default_factory=list)

    def put(self, outcome: Outcome) -> None:
        """Collect; everything that one step of the engine brought goes over together."""
        if not self.pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self.pending.append(outcome)

    def flush(self) -> None:
        if self.pending:
            outcomes, self.pending = self.pending, []
            self.loop.call_soon_threadsafe(self.queue.put_nowait, outcomes)


class VllmVerbaliser:
    """An AV held by vLLM's `AsyncLLM`. `options` go to its `AsyncEngineArgs`, over what is derived here."""

    name = "vllm"

    def __init__(
        self,
        tokenizer: Any,
        spec: AvSpec,
        stop_ids: frozenset[int],
        options: dict[str, Any],
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.tokenizer = tokenizer
        self.spec = spec
        self.stop_ids = stop_ids
        self.prompt = AvPrompt.of(tokenizer, spec)
        self.options = options
        self.unavailable_reason: str | None = "The AV's engine is starting."
        self.engine: Any = None
        self._progress = progress
        self._counts = Counters()
        self._numbers = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._keeper: Future[None] | None = None
        self._alive = asyncio.Event()
        self._writing: set[asyncio.Task[Any]] = set()
        """Calls that are with the engine."""

    @property
    def max_concurrency(self) -> int:
        """See `Verbaliser.max_concurrency`."""
        return int(self.options["max_num_seqs"])

    # On the caller's loop

    async def open(self) -> None:
        """Start the engine. Raises SettingsError with vLLM's own reason when it cannot be."""
        await asyncio.to_thread(end_stale_engines)
        self._progress(
            "starting vLLM: " + ", ".join(f"{k} {v}" for k, v in self.options.items() if k != "model")
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._build(), self._loop))
        except Exception as error:
            await self.close()
            raise SettingsError(
                f"vLLM could not start with {self.options}: {error}. Its log above tells more; NLA_VLLM_OPTIONS "
                "changes what it is given, and --verbaliser transformers does without it."
            ) from error
        self._keeper = asyncio.run_coroutine_threadsafe(self._keep(), self._loop)

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncIterator[Outcome]:
        """See `Verbaliser.stream`. Waits for an engine that is being started again; raises NotReady if that takes too
        long.
        """
        if self._loop is None:
            raise NotReady("The AV's engine is closed.")
        call = _Call(asyncio.get_running_loop(), asyncio.Queue())
        params = {"temperature": temperature, "max_tokens": max_new_tokens, "seed": seed}
        job = asyncio.run_coroutine_threadsafe(self._write(requests, params, call), self._loop)
        job.add_done_callback(lambda _: call.loop.call_soon_threadsafe(call.queue.put_nowait, None))
        try:
            while (outcomes := await call.queue.get()) is not None:
                for outcome in outcomes:
                    yield outcome
            job.result()
        finally:
            job.cancel()

    def counters(self) -> dict[str, float]:
        """See `Verbaliser.counters`."""
        return self._counts.counters()

    async def close(self) -> None:
        """End the engine's process and this thread."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        if self._keeper is not None:
            self._keeper.cancel()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._shut(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(self._thread.join)
        loop.close()

    # On the engine's loop

    async def _build(self) -> None:
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        if (os.cpu_count() or 1) <= FEW_CORES:
            # On a CPU vLLM leaves a core to others: of two, that is half of its speed.
            os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        mark_engines()
        self.engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**self.options))
        self.unavailable_reason = None
        self._alive.set()

    async def _shut(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.engine is not None:
            self.engine.shutdown()
            self.engine = None

    async def _keep(self) -> None:
        """Look after the engine: when it has died, start another, however often it takes."""
        while True:
            await asyncio.sleep(WATCH)
            if not self.engine.errored:
                continue
            self._counts.restarts += 1
            tries = 0
            while self.engine.errored:
                self._stopped()
                _log.error("%s (try %d)", self.unavailable_reason, tries + 1)
                if self._writing:
                    # Shut before it has told its readings that it is dead, an engine never tells them; and the start of
                    # the next holds up this loop.
                    await asyncio.wait(self._writing, timeout=TOLD)
                await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
                self.engine.shutdown()
                try:
                    await self._build()
                except Exception:
                    _log.exception("vLLM did not start")
            _log.info("the AV's engine is there again")

    def _stopped(self) -> None:
        self._alive.clear()
        self.unavailable_reason = "The AV's engine has stopped and is being started again."

    async def _write(self, requests: Sequence[ReadingRequest], params: dict[str, Any], call: _Call) -> None:
        fit = [wanted for wanted in requests if self.prompt.fits(wanted)]
        for wanted in requests:
            if not self.prompt.fits(wanted):
                call.put(Failed(wanted.key, UNFIT))
        try:
            await asyncio.wait_for(self._alive.wait(), PATIENCE)
        except TimeoutError:
            raise NotReady(
                f"{self.unavailable_reason} What has been read is kept; ask again later."
            ) from None
        me = asyncio.current_task()
        assert me is not None
        self._writing.add(me)
        me.add_done_callback(self._writing.discard)
        async with asyncio.TaskGroup() as group:
            for request in group_samples(fit, params["temperature"]):
                group.create_task(self._answer(request, params, call))
        call.flush()

    async def _answer(self, request: SampledRequest, params: dict[str, Any], call: _Call) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        form, budget = self.spec.profile.reading, params["max_tokens"]
        decoders = [ReadingDecoder(self.tokenizer, self.stop_ids, budget, form) for _ in request.samples]
        sampling = SamplingParams(
            n=len(request.samples),
            temperature=params["temperature"],
            max_tokens=params["max_tokens"],
            seed=(params["seed"] + request.samples[0].sample) % 2**31,
            stop=[CLOSING],
            include_stop_str_in_output=True,
            skip_special_tokens=False,
            output_kind=RequestOutputKind.DELTA,
            stream_interval=request.interval,
        )
        self._numbers += 1
        told = False
        try:
            async for output in self.engine.generate(
                self._embedded(request), sampling, f"reading-{self._numbers}", priority=request.rank
            ):
                if not told:
                    told = True
                    self._counts.prompt_tokens += len(self.prompt.ids)
                    self._counts.cached_tokens += output.num_cached_tokens or 0
                for part in output.outputs:
                    self._counts.reading_tokens += len(part.token_ids)
                    wanted, decoder = request.samples[part.index], decoders[part.index]
                    if bit := decoder.add(part.token_ids):
                        call.put(TextDelta(wanted.key, bit))
                    if part.finish_reason is not None:
                        call.put(decoder.finish(wanted.key))
                        decoders[part.index] = None  # type: ignore[call-overload]
        except EngineDeadError:
            if self.engine.errored:  # the next may be there already
                self._stopped()
            self._fail(request, decoders, DIED, call, retryable=True)
        except Exception as error:
            _log.exception("vLLM refused a reading")
            self._fail(request, decoders, f"vLLM could not read this: {error.__cause__ or error}", call)

    def _fail(
        self,
        request: SampledRequest,
        decoders: list[ReadingDecoder],
        reason: str,
        call: _Call,
        *,
        retryable: bool = False,
    ) -> None:
        for wanted, decoder in zip(request.samples, decoders, strict=True):
            if decoder is not None:
                call.put(Failed(wanted.key, reason, retryable))

    def _embedded(self, request: SampledRequest) -> Any:
        """Ids for all positions but one: there vLLM takes the row (mixed mode), so its own embedding does the rest."""
        from vllm.inputs import EmbedsPrompt

        embeds = torch.zeros(len(self.prompt.ids), self.spec.d_model)
        embeds[self.prompt.slot] = self.prompt.rows(request.samples[:1])[0]
        return EmbedsPrompt(
            prompt_embeds=embeds.to(self.engine.model_config.dtype),
            prompt_token_ids=self.prompt.ids,
            prompt_is_token_ids=[n != self.prompt.slot for n in range(len(self.prompt.ids))],
            cache_salt=self.prompt.salt,
        )


def derived(folder: Path, length: int, plan: Plan) -> dict[str, Any]:
    """Options of the engine unless told otherwise: the room that the plan has for it. `length`: tokens of the prompt
    and the longest reading.
    """
    part, cpu = plan.parts["av"], plan.devices[0].cpu
    options: dict[str, Any] = {
        "model": str(folder),
        "dtype": "float32" if cpu else "bfloat16",
        "max_model_len": length,
        "max_num_seqs": plan.sequences,
        "kv_cache_memory_bytes": plan.cache,
        "enable_prompt_embeds": True,
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",
        "disable_log_stats": True,
    }
    config = folder / "config.json"
    if config.is_file() and "vision_config" in json.loads(config.read_text()):
        # A wrapper (Gemma 3) is asked for no picture, and its folder need not say how one is prepared.
        options["limit_mm_per_prompt"] = {"image": 0}
    if cpu:
        # A CPU's block is 128 tokens by default: a prompt shorter than that would never be cached.
        return options | {"block_size": 32, "enforce_eager": True}
    if part.kind == "fp8":
        options["quantization"] = "fp8_per_tensor"  # `fp8` is for weights that are stored so
    if len(part.share) > 1:
        options["tensor_parallel_size"] = len(part.share)
    # vLLM demands its share of a whole GPU to be free, where the target and the AR may be already.
    now = {device.index: device for device in devices()}
    shares = [
        min(0.97 * now[n].free, size + part.overhead + plan.cache + RESERVE) / now[n].total
        for n, size in part.share.items()
    ]
    return options | {"gpu_memory_utilization": round(min(shares), 3)}
