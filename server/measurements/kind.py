"""Measurements as jobs: from the analysis to what the models need, and from their answer to what is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic import ValidationError
from sqlalchemy.orm import Session

from server.analyses.analysis_jobs import check_weights
from server.analyses.reconstruction import check_lengths
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import Conflict, StoreUnavailable, Unreadable
from server.jobs.attached_job import AttachedJob, AttachedKind
from server.jobs.progress import FINAL, Progress
from server.measurements import causal, form, form_tests, parts, tracked_words
from server.measurements.causal import CausalScores
from server.measurements.inputs import Key, MeasurementInputs, ScoredReading
from server.measurements.schema import (
    CausalScore,
    FormResult,
    FormTestResult,
    Measurement,
    MeasurementRequest,
    Parts,
    WordTrack,
)
from server.metrics import Metrics
from server.settings import Settings
from server.store import attached, causal_scores, repository
from server.store.database import Store
from server.store.tables import CausalScoreRow, MeasurementRow
from server.store.vectors import unpack

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


Result = CausalScores | Parts | FormResult | FormTestResult | WordTrack


@dataclass(frozen=True)
class StoredMeasurement:
    """A measurement that is to be made, with the causal scores that earlier runs have kept."""

    row: MeasurementRow
    scores: Sequence[CausalScoreRow]


class MeasurementJob(AttachedJob[MeasurementRow]):
    """The live state of one measurement. Its events: also score (CausalScore), as each is measured."""

    kind = "measurement"

    def __init__(self, stored: StoredMeasurement, store: Store) -> None:
        super().__init__(stored.row, store)
        self.request = request_of(stored.row)
        self.scores: dict[Key, CausalScore] = {}
        """The causal scores that are kept."""
        for row in stored.scores:
            self._tell(score_of(row), row.event)

    async def keep(self, scores: Sequence[CausalScore]) -> None:
        """Keep causal scores as soon as the store takes them, and tell them. Raises Taken when the run is over."""
        spare = self.log.next_id()
        events = [self.log.next_id() for _ in scores]
        rows = [
            {
                "measurement_id": self.id,
                "position": score.position,
                "sample": score.sample,
                "event": event,
                "document": score.model_dump_json(ensure_ascii=True),
            }
            for event, score in zip(events, scores, strict=True)
        ]

        def failed(error: StoreUnavailable) -> None:
            self.progress = self.progress.model_copy(update={"message": error.detail})
            self.log.put("progress", self.progress, id=spare)

        await self._store.write_until_kept(self._fenced(partial(causal_scores.add, rows)), failed)
        for event, score in zip(events, scores, strict=True):
            self._tell(score, event)

    def _tell(self, score: CausalScore, event: int) -> None:
        key = (score.position, score.sample)
        self.scores[key] = score
        self.log.put("score", score, key=key, id=event)

    def _keep_made(self, values: Mapping[str, Any], session: Session) -> None:
        super()._keep_made(values, session)
        causal_scores.remove(self.id, session)


class MeasurementKind(AttachedKind[StoredMeasurement, MeasurementJob]):
    """The measurements of this server as jobs of its scheduler, with slots of their own."""

    name = "measurement"
    plural = "measurements"
    table = MeasurementRow

    def __init__(self, analyses: Analyses, store: Store, settings: Settings, metrics: Metrics) -> None:
        super().__init__()
        self.slots, self.bound = settings.max_running, settings.max_measurements
        self.running, self.waiting = metrics.measurements_running, metrics.measurements_waiting
        self._analyses = analyses
        self._store = store
        self._settings = settings

    def load(self, id: str, session: Session) -> StoredMeasurement:
        """Everything kept of a measurement."""
        return StoredMeasurement(session.get_one(MeasurementRow, id), causal_scores.kept(id, session))

    def job(self, stored: StoredMeasurement) -> MeasurementJob:
        """The job. Raises Unreadable."""
        return MeasurementJob(stored, self._store)

    def fail(self, stored: StoredMeasurement, error: str, session: Session) -> None:
        """Remove a measurement of which no run can begin: it can be asked for again."""
        attached.remove(MeasurementRow, stored.row.id, session)

    async def make(self, job: MeasurementJob, pair: LoadedPair) -> Measurement:
        """Make a measurement."""
        analysis = await self._finished(job)
        began = time.monotonic()
        await check_weights(self._store, pair, analysis)
        result: Result | None = None
        async with aclosing(await self._measure(pair, analysis, job)) as steps:
            async for step in steps:
                if isinstance(step, tuple):
                    stage = "lens" if job.request.kind == "word" else "patch"
                    job.tell(Progress(stage=stage, done=step[0], total=step[1]))
                elif isinstance(step, list):
                    await job.keep(step)
                else:
                    result = step
        assert result is not None, "it is the last step"
        found: dict[str, Any] = (
            vars(result) if isinstance(result, CausalScores) else {job.request.kind: result}
        )
        return Measurement(
            id=job.id,
            url=measurement_url(analysis.id, job.request),
            analysis=analysis.id,
            created=job.row.created,
            request=job.request,
            pair=analysis.pair,
            layer=pair.layer,
            **found,
            versions=dict(pair.versions),
            seconds=round(time.monotonic() - began, 3),
        )

    async def _finished(self, job: MeasurementJob) -> Analysis:
        """The analysis, once it has ended. Raises Conflict when it has not come to its end."""
        analysis = await self._analyses.get(job.row.analysis_id)
        if analysis.status not in FINAL:
            job.tell_progress("waiting", message="This begins when all readings are there.")
            async with aclosing(self._analyses.watch(analysis.id)) as snapshots:
                async for snapshot in snapshots:
                    analysis = snapshot.analysis
            if analysis.status not in FINAL:
                await asyncio.Event().wait()  # this server ends, and puts the job down
        if analysis.status != "done":
            raise Conflict("The analysis has not come to its end. Analyse its text again, and measure that.")
        return analysis

    async def _measure(
        self, pair: LoadedPair, analysis: Analysis, job: MeasurementJob
    ) -> AsyncGenerator[tuple[int, int] | list[CausalScore] | Result]:
        request = job.request
        if request.kind == "word":
            return tracked_words.measure(pair, analysis, request)
        inputs = await self._inputs(analysis, request)
        if request.kind == "causal":
            return causal.measure(pair, inputs, dict(job.scores))
        if request.texts:
            await check_lengths(pair, "texts", request.texts, self._settings)
        if request.kind == "parts":
            place = (request.position, request.sample)
            reading = next((reading for reading in inputs.readings if reading.key == place), None)
            if reading is None:
                raise Conflict(f"Position {request.position} has no scored reading {request.sample}.")
            return parts.measure(pair, inputs, reading)
        units = form.units_of(analysis.tokens)
        if request.kind == "test":
            return form_tests.measure(pair, inputs, units)
        if len(inputs.content) < 2:
            raise Conflict("This text has too few content tokens to be compared with each other.")
        return form.measure(pair, inputs, units)

    async def _inputs(self, analysis: Analysis, request: MeasurementRequest) -> MeasurementInputs:
        blob = await self._store.read(partial(repository.activations, analysis.id))
        vectors = await self._store.read(partial(attached.all_reconstructions, analysis.id))
        readings = [
            ScoredReading((r.position, r.sample), r.text, unpack(vectors[r.position, r.sample])[0], r.cos)
            for r in analysis.readings
            if r.cos is not None and r.error is None and (r.position, r.sample) in vectors
        ]
        if blob is None or not readings:
            raise Conflict("The analysis has no reading with a score: there is nothing to measure.")
        return MeasurementInputs(
            request=request,
            ids=[token.id for token in analysis.tokens],
            activations=unpack(blob),
            content={token.position for token in analysis.tokens if token.content},
            readings=readings,
        )


def request_of(row: MeasurementRow) -> MeasurementRequest:
    """The request of a measurement. Raises Unreadable."""
    try:
        return MeasurementRequest.model_validate_json(row.inputs)
    except ValidationError as error:
        raise Unreadable(f"What is kept of the measurement {row.id} is damaged. Ask for it again.") from error


def score_of(row: CausalScoreRow) -> CausalScore:
    """A causal score that is kept. Raises Unreadable."""
    try:
        return CausalScore.model_validate_json(row.document)
    except ValidationError as error:
        raise Unreadable(
            f"What is kept of the measurement {row.measurement_id} is damaged. Ask for it again."
        ) from error


def measurement_url(analysis_id: str, request: MeasurementRequest) -> str:
    """The permalink's path: the analysis at the reading that was measured, or coloured by its causal scores; the page
    of a word that was tracked.
    """
    if request.word is not None:
        lens = {} if request.lens == "plain" else {"lens": request.lens}
        return f"/a/{analysis_id}/word?{urlencode({'word': request.word} | lens)}"
    position = request.position if request.positions is None else request.positions[0]
    return f"/a/{analysis_id}?" + ("by=causal" if position is None else f"t={position}")
