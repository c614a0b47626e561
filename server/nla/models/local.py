"""Target and AR in this process: each model has one thread, on which its calls run one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np

from server.nla.cancellation import check_cancelled, run_cancellable
from server.nla.lens.logit_lens import Lens
from server.nla.lens.word_lens import WordLens
from server.nla.models.reconstructor import ReconstructorModel
from server.nla.models.target import TargetModel, Trace
from server.nla.patching.patch_each import PatchEffects
from server.nla.patching.patched_forward import Continuation, PatchedOutput
from server.nla.patching.patches import Patch
from server.nla.types import Floats, Ints

T = TypeVar("T")


class ModelThread:
    """The single thread of a model. A call also waits for `compute_lock`, which models on one processor share."""

    def __init__(self, name: str, compute_lock: AbstractContextManager[Any]) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._compute_lock = compute_lock

    async def run(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `fn` there. When the caller is cancelled, `fn` does not begin any more, or ends at its next
        `check_cancelled`.
        """

        def call() -> T:
            with self._compute_lock:
                check_cancelled()  # it may have waited for the lock
                return fn(*args, **kwargs)

        return await run_cancellable(self._executor, call)

    async def close(self) -> None:
        """End the thread after the work in flight; what waits is cancelled."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)


class LocalTarget:
    """A `Target` in this process."""

    def __init__(self, model: TargetModel, compute_lock: AbstractContextManager[Any]) -> None:
        self.model = model
        self._thread = ModelThread("target", compute_lock)

    @property
    def max_tokens(self) -> int:
        return self.model.max_tokens

    @property
    def has_tuned_lens(self) -> bool:
        return self.model.translators is not None

    async def trace(self, ids: Sequence[int], layers: Sequence[int] = ()) -> Trace:
        return await self._thread.run(self.model.trace, ids, layers)

    async def tuned_lens(self, ids: Sequence[int]) -> Lens:
        return await self._thread.run(self.model.tuned_lens, ids)

    async def token_curves(
        self, ids: Sequence[int], tokens: Sequence[int], *, tuned: bool = False
    ) -> tuple[Floats, Ints]:
        return await self._thread.run(self.model.token_curves, ids, tokens, tuned=tuned)

    async def word_lens(
        self, ids: Sequence[int], words: Sequence[Sequence[int]], *, tuned: bool = False
    ) -> AsyncIterator[tuple[int, int] | WordLens]:
        steps = await self._thread.run(self.model.word_lens, ids, words, tuned=tuned)
        while (step := await self._thread.run(next, steps, None)) is not None:
            yield step

    async def patched_forward(
        self, ids: Sequence[int], patches: Sequence[Patch], words: Sequence[int], continuation: Continuation
    ) -> AsyncIterator[list[PatchedOutput]]:
        batches = self.model.patched_forward(ids, patches, words, continuation)
        while (batch := await self._thread.run(next, batches, None)) is not None:
            yield batch

    async def patch_each(
        self, ids: Sequence[int], positions: Sequence[int], vectors: Floats, horizon: int
    ) -> AsyncIterator[PatchEffects]:
        batches = self.model.patch_each(ids, positions, vectors, horizon)
        while (batch := await self._thread.run(next, batches, None)) is not None:
            yield batch

    async def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], None],
    ) -> list[int]:
        loop = asyncio.get_running_loop()
        return await self._thread.run(
            self.model.generate,
            ids,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            on_token=lambda token: loop.call_soon_threadsafe(on_token, token),
        )

    async def close(self) -> None:
        await self._thread.close()


class LocalReconstructor:
    """A `Reconstructor` in this process."""

    def __init__(self, model: ReconstructorModel, compute_lock: AbstractContextManager[Any]) -> None:
        self.model = model
        self._thread = ModelThread("ar", compute_lock)

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        return await asyncio.to_thread(self.model.lengths, texts)

    async def reconstruct(self, texts: Sequence[str]) -> Floats:
        out = np.zeros((len(texts), self.model.d_model), np.float32)
        batches = self.model.in_batches(texts)
        while (batch := await self._thread.run(next, batches, None)) is not None:
            indices, vectors = batch
            out[indices] = vectors
        return out

    async def close(self) -> None:
        await self._thread.close()
