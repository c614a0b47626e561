"""Replicas: what runs in the cluster. Each holds one model of a pair, as a server would in its own process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from server.errors import NlaError
from server.nla.checkpoints.checks.numbers import embedding_norms
from server.nla.checkpoints.pairs import PairEntry, Role
from server.nla.memory.precision import of_roles
from server.nla.models import parts
from server.nla.models.local import LocalReconstructor, LocalTarget
from server.nla.models.parts import PreparedPair
from server.nla.prompt import Prompter
from server.nla.verbalisers.base import Outcome, ReadingRequest, Verbaliser
from server.nla.verbalisers.factory import Serving, make_verbaliser

PAUSE, CALM = 0.02, 0.1
"""Seconds between two messages of a stream, the second where nobody watches what is in it. A message costs about a
millisecond, a token far less.
"""
T = TypeVar("T")
FAILED = 60.0
"""Seconds that a replica whose model cannot be loaded stays up, to say why; then Serve may start it again."""


@dataclass(frozen=True)
class PairOrder:
    """The pair whose models are to be held, and how."""

    entry: PairEntry
    cache_dir: Path
    serving: Serving

    def of(self, role: Role) -> PairOrder:
        """The same, with what the settings say of one of its models alone: it stays as it is when others change."""
        precision = of_roles(self.serving.precision, [role])
        return replace(self, serving=replace(self.serving, precision=precision))


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model that a server needs when it stands elsewhere."""

    embedding: float
    """The length of its embeddings (`embedding_norms`): where models are loaded apart, they are compared by it."""
    kind: str
    """The kind of numbers that it is held in, as NLA_PRECISION says it."""


@dataclass(frozen=True)
class TargetFacts(ModelFacts):
    """Facts of a target that a server needs when it stands elsewhere."""

    layer: int
    d_model: int
    prompter: Prompter
    max_tokens: int
    has_tuned_lens: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class VerbaliserFacts(ModelFacts):
    """Facts of an AV that a server needs when it stands elsewhere."""

    engine: str
    max_concurrency: int | None


class ModelReplica:
    """One model, loaded when the replica starts. Where it cannot be, `facts` says why."""

    role: Role

    async def __init__(self, order: PairOrder) -> None:  # type: ignore[misc]  # Serve awaits it
        self._failure: NlaError | None = None
        self._failed_at = 0.0
        self.model: Any = None
        try:
            prepared = await asyncio.to_thread(
                parts.prepare, order.entry, order.cache_dir, order.serving, lambda _: None, [self.role]
            )
            norms = await asyncio.to_thread(embedding_norms, prepared.files)
            self._own = ModelFacts(norms[self.role], prepared.precision[self.role])
            await self._load(prepared)
        except NlaError as error:
            self._failure, self._failed_at = error, time.monotonic()

    async def _load(self, prepared: PreparedPair) -> None:
        """Load the model."""
        raise NotImplementedError

    async def facts(self) -> ModelFacts:
        """Return the facts of the model. Raises the error for which it could not be loaded."""
        if self._failure is not None:
            raise self._failure
        return self._facts()

    def _facts(self) -> ModelFacts:
        return self._own

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The result of one of the model's methods."""
        return await getattr(self.model, method)(*args, **kwargs)

    async def stream(self, method: str, *args: Any, **kwargs: Any) -> AsyncIterator[list[Any]]:
        """The parts of the result of one of the model's methods that gives them one by one, each a message."""
        async with aclosing(getattr(self.model, method)(*args, **kwargs)) as found:
            async for part in found:
                yield [part]

    def check_health(self) -> None:
        """Raise RuntimeError when the model could not be loaded and that may be tried again."""
        if self._failure is not None and time.monotonic() - self._failed_at > FAILED:
            raise RuntimeError(self._failure.detail)


class TargetReplica(ModelReplica):
    """A target."""

    role: Role = "target"

    async def _load(self, prepared: PreparedPair) -> None:
        target = await asyncio.to_thread(parts.load_target, prepared)
        self.model = LocalTarget(target, parts.shared_lock())
        prompter = parts.prompter_of(prepared, target)
        await asyncio.to_thread(parts.try_target, prepared, prompter, target)
        self._prepared = prepared
        self._known = TargetFacts(
            **vars(self._own),
            layer=prepared.files.av.layer,
            d_model=prepared.files.av.d_model,
            prompter=prompter,
            max_tokens=self.model.max_tokens,
            has_tuned_lens=self.model.has_tuned_lens,
            versions=prepared.versions(target),
        )

    def _facts(self) -> TargetFacts:
        return self._known

    async def fingerprint(self, precision: Mapping[Role, str]) -> str:
        """The pair's fingerprint, its models held in these kinds."""
        return await asyncio.to_thread(self._prepared.fingerprint, precision)

    async def generate(self, ids: Sequence[int], **options: Any) -> AsyncIterator[list[int]]:
        """The new tokens as they come, those of a message together."""

        def write(put: Callable[[int], None]) -> Coroutine[Any, Any, Any]:
            found: Coroutine[Any, Any, Any] = self.model.generate(ids, on_token=put, **options)
            return found

        async for tokens in piled(write):
            yield tokens


class ReconstructorReplica(ModelReplica):
    """An AR."""

    role: Role = "ar"

    async def _load(self, prepared: PreparedPair) -> None:
        model = await asyncio.to_thread(parts.load_reconstructor, prepared)
        await asyncio.to_thread(parts.try_reconstructor, prepared, model)
        self.model = LocalReconstructor(model, parts.shared_lock())


class VerbaliserReplica(ModelReplica):
    """An AV, held by the engine that a server would hold it by."""

    role: Role = "av"
    model: Verbaliser

    async def _load(self, prepared: PreparedPair) -> None:
        self.model = await asyncio.to_thread(
            make_verbaliser,
            prepared.serving,
            prepared.plan,
            prepared.files.av,
            parts.shared_lock(),
            lambda _: None,
        )
        await self.model.open()

    def _facts(self) -> VerbaliserFacts:
        return VerbaliserFacts(
            **vars(self._own), engine=self.model.name, max_concurrency=self.model.max_concurrency
        )

    def check_health(self) -> None:
        """Raise RuntimeError when the model could not be loaded, or its engine is not there."""
        super().check_health()
        if self._failure is None and (reason := self.model.unavailable_reason):
            raise RuntimeError(reason)

    async def read(self, requests: Sequence[ReadingRequest], **options: Any) -> AsyncIterator[list[Outcome]]:
        """Read some activations: the outcomes as they come, those of a message together."""

        async def write(put: Callable[[Outcome], None]) -> None:
            stream = cast("AsyncGenerator[Outcome, None]", self.model.stream(requests, **options))
            async with aclosing(stream) as said:
                async for outcome in said:
                    put(outcome)

        pause = PAUSE if any(request.watched for request in requests) else CALM
        async for outcomes in piled(write, pause):
            yield outcomes


async def piled(
    write: Callable[[Callable[[T], None]], Coroutine[Any, Any, Any]], pause: float = PAUSE
) -> AsyncIterator[list[T]]:
    """Collect the items that `write` puts into messages: the first at once, then whatever piles up in each pause, and
    the rest when it ends.

    Raises what `write` raises.
    """
    queue: asyncio.Queue[T | None] = asyncio.Queue()
    work = asyncio.create_task(write(queue.put_nowait))
    work.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        ended = False
        while not ended:
            found = [await queue.get()]
            while not queue.empty():
                found.append(queue.get_nowait())
            ended = found[-1] is None
            if some := [item for item in found if item is not None]:
                yield some
            if not ended:
                await asyncio.wait({work}, timeout=pause)
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
