"""Clients: a target, an AR and an AV that stand in the cluster, behind the protocols of those that stand here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from server.errors import ModelError, NlaError
from server.nla.cluster.replicas import TargetFacts, VerbaliserFacts
from server.nla.cluster.watch import ReplicaWatch
from server.nla.lens.logit_lens import Lens
from server.nla.lens.word_lens import WordLens
from server.nla.models.target import Trace
from server.nla.patching.patch_each import PatchEffects
from server.nla.patching.patched_forward import Continuation, PatchedOutput
from server.nla.patching.patches import Patch
from server.nla.types import Floats, Ints
from server.nla.verbalisers.base import Failed, Finished, Outcome, ReadingRequest

TRIES = 3
"""The number of times that a call is made whose replica is lost under it."""
BACK_OFF = 1.0
"""Seconds before a call is made again: the router learns of a lost replica within about that time."""


class Lost(Exception):
    """The replica that was at work has gone, or cannot be reached."""


def _raised(error: RayError | RayServeException) -> Exception:
    """The model's own error, or Lost."""
    if isinstance(error, RayActorError) or not isinstance(error, RayTaskError):
        return Lost(str(error).strip().splitlines()[0])
    cause: Any = error.cause
    if isinstance(cause, RayError):
        return _raised(cause)
    return cause if isinstance(cause, NlaError) else ModelError(f"{type(cause).__name__}: {cause}")


class ModelClient:
    """A deployment's handle. Calls whose replica is lost are made again of another one."""

    def __init__(self, name: str, handle: DeploymentHandle[Any]) -> None:
        self._name = name
        self._handle = handle
        self._streams = handle.options(stream=True)

    async def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The answer of a replica's method. Raises what it raises, ModelError when replica after replica is lost."""
        for last in [False] * (TRIES - 1) + [True]:
            response = getattr(self._handle, method).remote(*args, **kwargs)
            try:
                return await response
            except asyncio.CancelledError:
                response.cancel()
                raise
            except (RayError, RayServeException) as error:
                await self._again(_raised(error), last)
        raise AssertionError

    async def parts(self, method: str, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """The parts of a replica's answer. After a loss those that were told are left out: the same come again."""
        told = 0
        for last in [False] * (TRIES - 1) + [True]:
            count = 0
            try:
                async with aclosing(self.once(method, *args, **kwargs)) as messages:
                    async for message in messages:
                        for part in message:
                            count += 1
                            if count > told:
                                told = count
                                yield part
                return
            except Lost as lost:
                await self._again(lost, last)

    async def once(self, method: str, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
        """The messages of one replica's answer, each a list of parts. Raises Lost when it goes."""
        response = getattr(self._streams, method).remote(*args, **kwargs)
        try:
            async for message in response:
                yield message
        except (RayError, RayServeException) as error:
            raise _raised(error) from None
        finally:
            response.cancel()

    async def _again(self, error: Exception, last: bool) -> None:
        if not isinstance(error, Lost):
            raise error from None
        if last:
            raise ModelError(f"{TRIES} replicas of the {self._name} were lost at this: {error}") from None
        await asyncio.sleep(BACK_OFF)


class ClusterTarget:
    """A `Target` in the cluster."""

    def __init__(self, client: ModelClient, facts: TargetFacts) -> None:
        self._client = client
        self._facts = facts

    @property
    def max_tokens(self) -> int:
        return self._facts.max_tokens

    @property
    def has_tuned_lens(self) -> bool:
        return self._facts.has_tuned_lens

    async def trace(self, ids: Sequence[int], layers: Sequence[int] = ()) -> Trace:
        found: Trace = await self._client.ask("call", "trace", list(ids), tuple(layers))
        return found

    async def tuned_lens(self, ids: Sequence[int]) -> Lens:
        found: Lens = await self._client.ask("call", "tuned_lens", list(ids))
        return found

    async def token_curves(
        self, ids: Sequence[int], tokens: Sequence[int], *, tuned: bool = False
    ) -> tuple[Floats, Ints]:
        found: tuple[Floats, Ints] = await self._client.ask(
            "call", "token_curves", list(ids), list(tokens), tuned=tuned
        )
        return found

    def word_lens(
        self, ids: Sequence[int], words: Sequence[Sequence[int]], *, tuned: bool = False
    ) -> AsyncIterator[tuple[int, int] | WordLens]:
        return self._client.parts(
            "stream", "word_lens", list(ids), [list(word) for word in words], tuned=tuned
        )

    def patched_forward(
        self, ids: Sequence[int], patches: Sequence[Patch], words: Sequence[int], continuation: Continuation
    ) -> AsyncIterator[list[PatchedOutput]]:
        return self._client.parts(
            "stream", "patched_forward", list(ids), list(patches), list(words), continuation
        )

    def patch_each(
        self, ids: Sequence[int], positions: Sequence[int], vectors: Floats, horizon: int
    ) -> AsyncIterator[PatchEffects]:
        return self._client.parts("stream", "patch_each", list(ids), list(positions), vectors, horizon)

    async def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], None],
    ) -> list[int]:
        told = self._client.parts(
            "generate", list(ids), max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
        )
        found: list[int] = []
        async for token in told:
            found.append(token)
            on_token(token)
        return found

    async def close(self) -> None:
        """Leave the replicas as they are: others may be asking them."""


class ClusterReconstructor:
    """A `Reconstructor` in the cluster."""

    def __init__(self, client: ModelClient) -> None:
        self._client = client

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        found: list[int] = await self._client.ask("call", "lengths", list(texts))
        return found

    async def reconstruct(self, texts: Sequence[str]) -> Floats:
        found: Floats = await self._client.ask("call", "reconstruct", list(texts))
        return found

    async def close(self) -> None:
        """Leave the replicas as they are: others may be asking them."""


class ClusterVerbaliser:
    """A `Verbaliser` in the cluster. A reading whose replica is lost ends as one that may be asked for again."""

    def __init__(
        self, client: ModelClient, facts: VerbaliserFacts, replicas: int, watch: ReplicaWatch
    ) -> None:
        self._client = client
        self._watch = watch
        self.name = facts.engine
        self._max_concurrency = facts.max_concurrency and facts.max_concurrency * replicas
        self._tokens = 0.0
        self._losses = 0.0

    @property
    def max_concurrency(self) -> int | None:
        return self._max_concurrency

    @property
    def unavailable_reason(self) -> str | None:
        return self._watch.problem

    async def open(self) -> None:
        self._watch.start()

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncIterator[Outcome]:
        owed = {request.key for request in requests}
        answers = self._client.once(
            "read", list(requests), temperature=temperature, max_new_tokens=max_new_tokens, seed=seed
        )
        try:
            async with aclosing(answers):
                async for outcomes in answers:
                    for outcome in outcomes:
                        if isinstance(outcome, Finished | Failed):
                            owed.discard(outcome.key)
                        if isinstance(outcome, Finished):
                            self._tokens += outcome.tokens
                        yield outcome
        except Lost as lost:
            self._losses += 1
            await asyncio.sleep(BACK_OFF)
            for key in owed:
                yield Failed(key, f"The replica of the AV that read this was lost: {lost}", retryable=True)

    def counters(self) -> dict[str, float]:
        return {"reading_tokens": self._tokens, "restarts": self._losses}

    async def close(self) -> None:
        await self._watch.close()
