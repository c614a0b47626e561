"""Readings and their scores: the AV writes as many at a time as it has room for, the AR reads whatever has
ended while it was busy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from server.analyses.estimate import Estimate
from server.analyses.schema import Verbalise
from server.analyses.watched import WatchedPositions
from server.nla.verbalisers.base import Failed, Finished, Outcome, ReadingRequest, TextDelta

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.scores import Score, Scorer

TRIES = 3
"""The number of times that a reading is asked for whose engine died: the reading may be the cause."""
SILENCE = 1.0
"""Seconds without a finding after which the caller hears that work goes on."""
Key = tuple[int, int]  # position, sample
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """A reading of an earlier run; without a vector it has yet to be scored."""

    text: str
    vector: Vector | None


@dataclass(frozen=True)
class Scored:
    """A batch that the AR has read: the score and the reconstruction [d] of each reading."""

    scores: dict[Key, Score]
    vectors: dict[Key, Vector]


Finding: TypeAlias = Outcome | Scored
"""What the AV says of a reading, keyed by position and sample, or what the AR makes of it. Failed is also one that
could not be scored. The others go on.
"""


@dataclass(frozen=True)
class ReadingBatch:
    """Readings that are wanted, and of which activations. `content` are the positions among which a reading's own
    is ranked.
    """

    activations: Vector  # [T, d]
    keys: Sequence[Key]
    length: int
    settings: Verbalise
    content: Sequence[int] = ()
    kept: Mapping[Key, Kept] = field(default_factory=dict)
    window: int = 64
    score_batch: int = 32
    patience: float = 1800.0
    """Seconds after which an AV that says nothing is given up on."""
    estimate: Estimate = field(default_factory=Estimate)
    """Is told what is decoded of each reading."""


async def read(
    pair: LoadedPair, job: ReadingBatch, pins: WatchedPositions
) -> AsyncGenerator[list[Finding], None]:
    """All findings, in the order in which they are made: whatever has piled up since the last, or nothing
    after a while of SILENCE. Raises what the AV raises; close it to stop the work.
    """
    loop = ReadingLoop(pair, job, pins)
    task = asyncio.create_task(loop.work())
    task.add_done_callback(lambda _: loop.findings.put_nowait(None))
    try:
        ended = False
        while not ended:
            found: list[Finding | None] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    found.append(await loop.findings.get())
            while not loop.findings.empty():
                found.append(loop.findings.get_nowait())
            ended = None in found
            yield [finding for finding in found if finding is not None]
        await task
    finally:
        await _stop(task)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass
class ReadingLoop:
    """AV and AR at work on one job: what `remains` is asked of the AV, what has `ended` there goes on to the AR, and
    `findings` tell of both.
    """

    pair: LoadedPair
    job: ReadingBatch
    pins: WatchedPositions
    remains: set[Key] = field(default_factory=set)
    waits: bool = False
    """A call is waiting for room."""
    count: int = 0
    """Readings of each call."""
    failures: Counter[Key] = field(default_factory=Counter)
    findings: asyncio.Queue[Finding | None] = field(default_factory=asyncio.Queue)
    """Holds no more than the readings themselves."""
    ended: asyncio.Queue[tuple[Key, str] | None] = field(default_factory=asyncio.Queue)

    async def work(self) -> None:
        """Write and score all that is wanted."""
        scoring = asyncio.create_task(self._score())
        try:
            try:
                await self._verbalise()
            except Exception:
                self.ended.put_nowait(None)  # what was written is scored, whatever became of the rest
                await scoring
                raise
            self.ended.put_nowait(None)
            await scoring
        finally:
            await _stop(scoring)

    async def _verbalise(self) -> None:
        """Call after call, as there is room. What each asks for is settled when it gets room: by then others have had
        theirs, and new pins are heeded.
        """
        self.remains = self._remaining()
        wanted, samples = len(self.remains), self.job.settings.samples
        self.count = self.pair.capacity.readings(wanted, self.job.window, samples)
        try:
            async with asyncio.TaskGroup() as calls:
                self._ask(calls)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def _ask(self, calls: asyncio.TaskGroup) -> None:
        """One call more, unless one waits already."""
        if self.remains and not self.waits:
            self.waits = True
            calls.create_task(self._call(calls))

    async def _call(self, calls: asyncio.TaskGroup) -> None:
        capacity = self.pair.capacity
        async with capacity.take(self.count):
            self.waits = False
            window = self.pins.first(self.remains, self.count)
            self.remains.difference_update(window)
            if capacity.several:
                self._ask(calls)
            await self._attend(window)
        self._ask(calls)

    async def _attend(self, window: Sequence[Key]) -> None:
        """Take the AV's answers; those that it owes when it has been silent for too long have failed."""
        owed, patience = set(window), self.job.patience
        now = asyncio.get_running_loop().time
        try:
            async with (
                asyncio.timeout(patience) as silence,
                aclosing(_window(self.pair, self.job, window, self.pins)) as answers,
            ):
                async for finding in answers:
                    silence.reschedule(now() + patience)
                    if isinstance(finding, Finished | Failed):
                        owed.discard(finding.key)
                    self._take(finding)
        except TimeoutError:
            if not silence.expired():
                raise
            reason = f"The verbaliser said nothing for {patience:g} s (NLA_AV_TIMEOUT)."
            for key in sorted(owed):
                self._take(Failed(key, reason))

    def _take(self, finding: Finding) -> None:
        self.findings.put_nowait(finding)
        if isinstance(finding, Finished):
            self.ended.put_nowait((finding.key, finding.text))
        elif isinstance(finding, Failed) and finding.retryable:
            self.failures[finding.key] += 1
            if self.failures[finding.key] < TRIES:
                self.remains.add(finding.key)

    def _remaining(self) -> set[Key]:
        """The readings to be written. Those that an earlier run wrote are scored, if that is still to be done."""
        remaining = set()
        for key in self.job.keys:
            kept = self.job.kept.get(key)
            if kept is None:
                if reason := _unreadable(self.job, key[0]):
                    self.findings.put_nowait(Failed(key, reason))
                else:
                    remaining.add(key)
            elif kept.vector is None:
                self.ended.put_nowait((key, kept.text))
        return remaining

    async def _score(self) -> None:
        """Score whatever has ended, as many at a time as have piled up while the AR was busy."""
        from server.nla.scores import Scorer

        scorer = await asyncio.to_thread(Scorer, self.job.activations, self.pair.variance, self.job.content)
        last = False
        while not last:
            batch = [await self.ended.get()]
            while not self.ended.empty() and len(batch) < self.job.score_batch:
                batch.append(self.ended.get_nowait())
            last = batch[-1] is None
            texts = [item for item in batch if item is not None]
            if texts:
                for finding in await _scored(self.pair, scorer, texts):
                    self.findings.put_nowait(finding)


def _unreadable(job: ReadingBatch, position: int) -> str | None:
    if position >= job.length:
        return f"There is no position {position}: the text ended at {job.length - 1}."
    if not np.isfinite(job.activations[position]).all():
        return "The activation is not finite: the target's number format is too small for it."
    return None


def verbalise(pair: LoadedPair, activations: Vector, settings: Verbalise) -> AsyncGenerator[Finding, None]:
    """One reading of each row of activations [n, d], keyed (row, 0). The caller has room at the AV."""
    keys = [(i, 0) for i in range(len(activations))]
    job = ReadingBatch(activations=activations, keys=keys, length=len(keys), settings=settings)
    return _window(pair, job, keys, WatchedPositions())


async def _window(
    pair: LoadedPair, job: ReadingBatch, window: Sequence[Key], pins: WatchedPositions
) -> AsyncGenerator[Finding, None]:
    """The AV's answers to some orders. The bits of a text are told for pinned positions alone, from the beginning when
    a pin comes late.
    """
    untold = dict.fromkeys(window, "")
    requests = [
        ReadingRequest(key=key, activation=job.activations[key[0]], sample=key[1], watched=key[0] in pins)
        for key in window
    ]
    stream = pair.verbaliser.stream(
        requests,
        temperature=job.settings.temperature or 0.0,
        max_new_tokens=job.settings.max_new_tokens,
        seed=job.settings.seed,
    )
    async with aclosing(cast("AsyncGenerator[Outcome, None]", stream)) as answers:
        async for answer in answers:
            if isinstance(answer, TextDelta):
                key = answer.key
                job.estimate.decoded(key, len(answer.text))
                untold[key] += answer.text
                if key[0] in pins and untold[key]:
                    yield TextDelta(key, untold[key])
                    untold[key] = ""
            else:
                untold.pop(answer.key, None)
                yield answer
    for key in untold:
        yield Failed(key, "The verbaliser ended without an answer for this position.")


async def _scored(pair: LoadedPair, scorer: Scorer, texts: Sequence[tuple[Key, str]]) -> list[Finding]:
    """One batch; when it fails as a whole, by halves, so that a batch that is too large for the memory is read all the
    same, and of one that holds a text at fault that text alone is marked.
    """
    try:
        vectors = await pair.reconstructor.reconstruct([text for _, text in texts])
    except Exception as error:
        if len(texts) == 1:
            return [Failed(texts[0][0], f"The reading could not be scored: {error}")]
        half = len(texts) // 2
        return [*await _scored(pair, scorer, texts[:half]), *await _scored(pair, scorer, texts[half:])]
    return await asyncio.to_thread(_compared, scorer, [key for key, _ in texts], vectors)


def _compared(scorer: Scorer, keys: Sequence[Key], vectors: Vector) -> list[Finding]:
    """The scores of some readings by their reconstructions [n, d]."""
    scores = dict(zip(keys, scorer.compare([position for position, _ in keys], vectors), strict=True))
    made = {
        key: vector
        for key, vector in zip(keys, vectors, strict=True)
        if vector.any() and np.isfinite([scores[key].cos, scores[key].mse]).all()
    }
    reason = "The reading has no score: the AR made no vector of it."
    bad: list[Finding] = [Failed(key, reason) for key in keys if key not in made]
    return [*bad, Scored({key: scores[key] for key in made}, made)] if made else bad
