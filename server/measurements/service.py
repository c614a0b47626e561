"""The service of measurements: what may be asked, and the id of what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import lru_cache, partial
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from server.analyses.analysis_jobs import AnalysisJobs
from server.analyses.content_id import digest, short
from server.analyses.schema import Analysis, Reading
from server.analyses.service import Analyses
from server.errors import BadInput, Conflict, NotFound
from server.jobs.event_log import EventLog
from server.jobs.progress import Progress
from server.jobs.scheduler import Scheduler
from server.measurements import word_mentions
from server.measurements.agreement import agreement
from server.measurements.agreement_schema import Agreement
from server.measurements.form_tests import form_test
from server.measurements.inputs import Key
from server.measurements.kind import (
    MeasurementJob,
    MeasurementKind,
    measurement_url,
    request_of,
    score_of,
)
from server.measurements.schema import (
    FormTest,
    Measurement,
    MeasurementRequest,
    PendingMeasurement,
    WordMentions,
)
from server.measurements.shares import with_causal
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import attached, causal_scores, repository
from server.store.database import Store
from server.store.tables import MeasurementRow
from server.store.vectors import unpack

FORMAT = 1
"""Raised when the same request would give another answer; those of before keep their address."""


class OfToken(NamedTuple):
    """Measurements, made or being made, that concern a token: the causal scores, the losses in other forms, and the
    parts of its readings by position and sample.
    """

    causal: Measurement | PendingMeasurement | None
    form: Measurement | PendingMeasurement | None
    parts: dict[Key, Measurement | PendingMeasurement]


class Measurements(AnalysisJobs[MeasurementRow, Measurement, PendingMeasurement]):
    """All measurements of this server."""

    noun = "measurement"
    table = MeasurementRow

    def __init__(
        self,
        scheduler: Scheduler,
        analyses: Analyses,
        store: Store,
        models: ModelPool,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._models, self._settings = models, settings
        super().__init__(scheduler, analyses, store, MeasurementKind(analyses, store, settings, metrics))

    async def submit(self, analysis_id: str, request: MeasurementRequest) -> tuple[str, bool]:
        """Have an analysis measured, at once or as soon as it has ended, unless that is done or under way. Returns the
        id, and whether it is made. Raises NotFound, Conflict for an analysis that was broken off or is of a pair that
        this server does not have, and Busy when the queue is full.
        """
        _check(request)
        analysis = await self._analyses.get(analysis_id)
        id = short(digest([FORMAT, analysis.id, _asked(request)]))
        if await self.is_made(analysis.id, id):
            return id, True
        if analysis.pair not in self._models.names:
            raise Conflict(f"This analysis is of {analysis.pair}, which this server does not have.")
        if analysis.status in ("failed", "cancelled"):
            raise Conflict("The analysis has not come to its end. Analyse its text again, and measure that.")
        if request.position is not None:
            _check_reading(analysis, "position", request.position, request.sample)
        for position in request.positions or ():
            _check_reading(analysis, "positions", position, request.sample)
        row = MeasurementRow(
            id=id,
            analysis_id=analysis.id,
            pair=analysis.pair,
            status="queued",
            what=request.what,
            created=repository.now(),
            run_number=0,
            inputs=request.model_dump_json(),
            result="",
        )
        return id, await self._submit(row)

    async def causal(self, analysis_id: str) -> Measurement | PendingMeasurement | None:
        """The causal scores of an analysis, made or being made, the latest of several; None where nobody has asked."""
        return (await self.latest(analysis_id, "what", ["causal"])).get("causal")

    async def agreement(self, analysis_id: str, position: int | None = None) -> Agreement:
        """Compare the readings of each token with each other, or those of one `position`. Raises NotFound, and Conflict
        where no token has two.
        """
        analysis = await self._analyses.get(analysis_id)
        blob = await self._store.read(partial(repository.activations, analysis.id))
        blobs = await self._store.read(partial(attached.all_reconstructions, analysis.id))
        if blob is None:
            raise Conflict("The text has not been read yet.")

        def compared() -> Agreement:
            vectors = {key: unpack(vector)[0] for key, vector in blobs.items()}
            return agreement(analysis, unpack(blob), vectors, position)

        return await asyncio.to_thread(compared)

    def is_wanted(self, pair: str | None, asked: bool | None = None) -> bool:
        """Return whether an analysis is to have its causal scores: as was `asked`, else as the setting has it."""
        if asked is not None:
            return asked
        setting = self._settings.causal_scores
        return setting == "on" or (setting == "auto" and self._models.on_gpu(pair))

    async def with_causal(self, analysis: Analysis) -> Analysis:
        """The analysis, its readings with the causal scores that were measured last, or else those so far. Raises
        NotFound.
        """
        made = await self.of(analysis.id, what="causal")
        found = made[-1] if made else await self.causal(analysis.id)
        return await asyncio.to_thread(with_causal, analysis, found)

    async def causal_readings(self, analysis_id: str) -> AsyncGenerator[Reading]:
        """The readings of an analysis that has ended, each with its causal score, as these are measured. Ends with the
        measurement, and with this server. Raises NotFound at the first step.
        """
        analysis = await self._analyses.get(analysis_id)
        told: set[Key] = set()
        async with aclosing(self.watch_causal(analysis.id)) as states:
            async for found in states:
                scored = await asyncio.to_thread(with_causal, analysis, found)
                for reading in scored.readings:
                    key = (reading.position, reading.sample)
                    if reading.causal is not None and key not in told:
                        told.add(key)
                        yield reading

    async def watch_causal(self, analysis_id: str) -> AsyncGenerator[Measurement | PendingMeasurement | None]:
        """The causal scores of an analysis as they stand now and as more are measured, to the end; None where nobody
        has asked, or no more. Raises NotFound when the analysis is not there, or no longer.
        """
        found = await self.causal(analysis_id)
        yield found
        if not isinstance(found, PendingMeasurement):
            return
        try:
            async with aclosing(self._streams.batches(found.id, 0)) as batches:
                async for _ in batches:
                    yield await self.get(found.analysis, found.id)
        except NotFound:  # it was broken off: also between the first look and the second
            yield await self.causal(found.analysis)

    async def test(self, id: str) -> FormTest:
        """A test of readings, made or being made. Raises NotFound."""
        row = await self._row(id)
        if row is None or not row.what.startswith("test:"):
            raise NotFound(f"There is no test {id!r}. One that failed or was cancelled is asked for again.")
        return form_test(await self.get(row.analysis_id, id))

    async def form(self, analysis_id: str) -> Measurement | PendingMeasurement | None:
        """The losses of the readings in other forms, made or being made; None where nobody has asked."""
        return (await self.latest(analysis_id, "what", ["form"])).get("form")

    async def words(self, analysis_id: str) -> list[str]:
        """List the words that have been tracked in an analysis, each once, oldest first. Raises NotFound."""

        def find(session: Session) -> Sequence[str]:
            own = self._parent(analysis_id, session)
            return attached.asked(MeasurementRow, own, session, what="word")

        asked = [MeasurementRequest.model_validate_json(inputs) for inputs in await self._store.read(find)]
        return list(dict.fromkeys(request.word for request in asked if request.word))

    async def mentions(self, analysis_id: str, word: str) -> WordMentions:
        """Find the readings of an analysis that mention a word, beside those of other texts. Raises NotFound."""
        analysis = await self._analyses.get(analysis_id)
        others = await self._store.read(
            partial(repository.readings_of_other_texts, analysis.id, word_mentions.ELSEWHERE)
        )
        return await asyncio.to_thread(word_mentions.mentions, analysis, word, others)

    async def of_token(self, analysis_id: str, position: int, samples: Sequence[int]) -> OfToken:
        """Gather the measurements that the panel of a token shows, in one read. `samples` are the readings whose parts
        are wanted. Raises NotFound.
        """
        parts = {f"parts:{position}:{sample}": (position, sample) for sample in samples}
        found = await self.latest(analysis_id, "what", ["causal", "form", *parts])
        return OfToken(
            found.get("causal"),
            found.get("form"),
            {key: found[what] for what, key in parts.items() if what in found},
        )

    async def _of_row(self, row: MeasurementRow) -> PendingMeasurement:
        pending = await super()._of_row(row)
        job = self._scheduler.get(row.id)
        if isinstance(job, MeasurementJob):
            return pending.model_copy(update={"scores": list(job.scores.values())})
        kept = await self._store.read(partial(causal_scores.kept, row.id))
        return pending.model_copy(update={"scores": [score_of(row) for row in kept]})

    async def _token_of(self, row: MeasurementRow) -> tuple[object, ...]:
        last = await self._store.read(partial(causal_scores.last_event, row.id))
        return *await super()._token_of(row), last

    async def _tell_kept(self, row: MeasurementRow, log: EventLog) -> None:
        for kept in await self._store.read(partial(causal_scores.kept, row.id)):
            log.put("score", score_of(kept), key=(kept.position, kept.sample), id=kept.event)

    def _made(self, result: str) -> Measurement:
        return _parsed(result)

    def _pending(self, row: MeasurementRow, progress: Progress) -> PendingMeasurement:
        return PendingMeasurement(
            id=row.id,
            url=measurement_url(row.analysis_id, request_of(row)),
            analysis=row.analysis_id,
            created=row.created,
            request=request_of(row),
            pair=row.pair,
            status="queued" if progress.stage in ("queued", "waiting") else "running",
            progress=progress,
        )


def _asked(request: MeasurementRequest) -> dict[str, Any]:
    """Select the fields that decide the id. Those that came later count only where they are used, so what was made
    before keeps its id.
    """
    return request.model_dump(mode="json", exclude=set() if request.kind == "word" else OF_KIND["word"])


@lru_cache(maxsize=32)
def _parsed(result: str) -> Measurement:
    """A document that is kept. That of a long text takes a while, and every panel of its page asks for it."""
    return Measurement.model_validate_json(result)


OF_KIND = {
    "causal": {"horizon"},
    "parts": {"position", "sample", "texts", "reword", "language"},
    "form": set[str](),
    "test": {"test", "positions", "sample", "texts", "language"},
    "word": {"word", "lens"},
}
"""The fields that go with each kind of measurement, beside the seed."""


def _check(request: MeasurementRequest) -> None:
    """Raise BadInput for fields that do not go with the kind of measurement."""
    if request.kind == "parts" and request.position is None:
        raise BadInput("position", "This is a measurement of one reading: say at which position.")
    if request.kind == "word" and request.word is None:
        raise BadInput("word", "Say which word; a leading space is a part of it.")
    if request.kind == "test" and request.test is None:
        raise BadInput("test", "Say which test.")
    given = request.model_dump(exclude_defaults=True)
    for field in given.keys() - {"kind", "seed", "horizon"} - OF_KIND[request.kind]:
        raise BadInput(field, f"This does not go with the kind {request.kind}: leave {field} out.")
    if request.test == "given" and not request.texts:
        raise BadInput("texts", "Give the texts that are to be scored in the reading's place.")
    if request.test == "given" and len(request.positions or ()) != 1:
        raise BadInput("positions", "Texts are given for one reading: say at which position.")
    if request.test not in (None, "given") and request.texts:
        raise BadInput(
            "texts", f"The test {request.test} makes its own texts: leave them out, or ask for given."
        )


def _check_reading(analysis: Analysis, field: str, position: int, sample: int) -> None:
    """Raise BadInput for a reading that is not there, and will not be."""
    if analysis.tokens and position >= len(analysis.tokens):
        raise BadInput(
            field, f"There is no position {position}: the text ends at {len(analysis.tokens) - 1}."
        )
    there = any((r.position, r.sample) == (position, sample) and r.text for r in analysis.readings)
    if analysis.status == "done" and not there:
        raise BadInput(field, f"Position {position} has no reading {sample}.")
