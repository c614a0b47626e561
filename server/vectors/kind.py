"""Readings of vectors as jobs: the AV writes of a vector as it does of an activation, the AR reads it back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from server.analyses.readings import ReadingBatch, Scored, read
from server.analyses.row_mapping import unpack_tokens
from server.analyses.schema import Verbalise
from server.analyses.watched import WatchedPositions
from server.errors import Conflict, Unreadable
from server.jobs.attached_job import AttachedJob, AttachedKind
from server.jobs.progress import Progress
from server.metrics import Metrics
from server.nla.verbalisers.base import Failed, Finished
from server.schema import ResponseModel
from server.settings import Settings
from server.store import attached, kept_vectors
from server.store.database import Store
from server.store.tables import VectorReadingRow, VectorRow
from server.store.vectors import unpack
from server.vectors.schema import OtherReadings, VectorReading, VectorReadings, url_of_reading
from server.vectors.service import find, sources_of

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

TEXTS, OF_EACH = 16, 16
"""The newest texts of the library whose readings a vector's are held against, and the readings of each."""
Floats = NDArray[np.float32]


class Inputs(BaseModel):
    """Everything that decides the answer: how the AV is to write, and the weights that it then had."""

    request: Verbalise
    fingerprint: str


def inputs_of(row: VectorReadingRow) -> Inputs:
    """The inputs of readings. Raises Unreadable."""
    try:
        return Inputs.model_validate_json(row.inputs)
    except ValidationError as error:
        raise Unreadable(f"What is kept of the reading {row.id} is damaged. Ask for it again.") from error


class VectorReadingJob(AttachedJob[VectorReadingRow]):
    """The live state of readings that are asked for at once."""

    kind = "reading of a vector"

    def __init__(self, row: VectorReadingRow, store: Store) -> None:
        super().__init__(row, store)
        self.inputs = inputs_of(row)


class VectorReadingKind(AttachedKind[VectorReadingRow, VectorReadingJob]):
    """The readings of vectors of this server as jobs of its scheduler, with slots of their own."""

    name = "reading of a vector"
    plural = "readings of vectors"
    table = VectorReadingRow

    def __init__(self, store: Store, settings: Settings, metrics: Metrics) -> None:
        super().__init__()
        self.slots, self.bound = settings.max_running, settings.max_vector_readings
        self.running, self.waiting = metrics.vector_readings_running, metrics.vector_readings_waiting
        self._store = store
        self._settings = settings

    def load(self, id: str, session: Session) -> VectorReadingRow:
        """Everything kept of readings."""
        return session.get_one(VectorReadingRow, id)

    def job(self, stored: VectorReadingRow) -> VectorReadingJob:
        """The job. Raises Unreadable."""
        return VectorReadingJob(stored, self._store)

    def fail(self, stored: VectorReadingRow, error: str, session: Session) -> None:
        """Remove readings of which no run can begin: they can be asked for again."""
        attached.remove(VectorReadingRow, stored.id, session)

    def keeps(self, made: ResponseModel) -> bool:
        """Return whether no reading failed: one that did may be written another time."""
        return isinstance(made, VectorReadings) and not any(reading.error for reading in made.readings)

    async def make(self, job: VectorReadingJob, pair: LoadedPair) -> VectorReadings:
        """Have a vector read."""
        row, asked = await find(self._store, job.row.vector_id), job.inputs.request
        check_fits(row, pair)
        if pair.fingerprint != job.inputs.fingerprint:
            raise Conflict(f"{pair.name} has other weights by now than when this was asked for: ask again.")
        v = unpack(row.data)
        batch = ReadingBatch(
            activations=v,
            keys=[(0, sample) for sample in range(asked.samples)],
            length=1,
            settings=asked,
            window=self._settings.batch_window,
            score_batch=self._settings.score_batch,
            patience=self._settings.av_timeout,
        )
        readings = {sample: VectorReading(sample=sample) for sample in range(asked.samples)}
        job.tell(_progress(readings))
        async with aclosing(read(pair, batch, WatchedPositions())) as batches:
            async for findings in batches:
                for finding in findings:
                    _take(readings, finding)
                job.tell(_progress(readings))
        apart = {(source.analysis, source.position) for source in sources_of(row)}
        nearness = await self._store.read(partial(_others, v[0], row.pair, pair.fingerprint, apart))
        return VectorReadings(
            id=job.id,
            url=url_of_reading(row.id, job.id),
            vector=row.id,
            created=job.row.created,
            request=asked,
            readings=[_beside(reading, nearness) for reading in readings.values()],
            others=_summary(nearness),
            fve_variance=pair.variance,
            versions=dict(pair.versions),
        )


def check_fits(row: VectorRow, pair: LoadedPair) -> None:
    """Raise Conflict if the pair has other weights than the activations that the vector was made of, or another width
    than the file that it came in.
    """
    if row.d_model != pair.d_model:
        raise Conflict(
            f"This vector has {row.d_model:,} numbers, an activation of {pair.name} has {pair.d_model:,} by now: "
            "upload one of that width."
        )
    if row.fingerprint not in (None, pair.fingerprint):
        raise Conflict(
            f"This vector was made of activations by other weights of {pair.name}: analyse their texts again, and make "
            "it from those."
        )


def _progress(readings: Mapping[int, VectorReading]) -> Progress:
    ended = sum(reading.error is not None or reading.cos is not None for reading in readings.values())
    return Progress(stage="readings", done=ended, total=len(readings))


def _take(readings: dict[int, VectorReading], finding: object) -> None:
    if isinstance(finding, Finished):
        found = {"text": finding.text, "truncated": finding.truncated, "error": None}
        readings[finding.key[1]] = readings[finding.key[1]].model_copy(update=found)
    elif isinstance(finding, Failed):
        readings[finding.key[1]] = readings[finding.key[1]].model_copy(update={"error": finding.reason})
    elif isinstance(finding, Scored):
        for (_, sample), score in finding.scores.items():
            scores = {"cos": score.cos, "mse": score.mse, "fve": score.fve}
            readings[sample] = readings[sample].model_copy(update=scores)


def _others(
    v: Floats, pair: str, fingerprint: str, apart: Collection[tuple[str, int]], session: Session
) -> list[list[float]]:
    """The cosines of a vector with what the AR makes of readings of other tokens of content, a list for each text."""
    from server.nla.scores import units

    found = []
    for text in kept_vectors.last_texts(pair, fingerprint, TEXTS, session):
        content = [t.position for t in unpack_tokens(text.tokens) if t.content]
        content = [position for position in content if (text.id, position) not in apart]
        few = _spread(content, OF_EACH)
        vectors = [unpack(blob)[0] for blob in attached.reconstructions(text.id, few, session)]
        if vectors:
            found.append((units(np.stack(vectors)) @ units(v)).tolist())
    return found


def _spread(positions: Sequence[int], count: int) -> list[int]:
    if len(positions) <= count:
        return list(positions)
    return [positions[n] for n in np.linspace(0, len(positions) - 1, count).round().astype(int)]


def _beside(reading: VectorReading, others: Sequence[Sequence[float]]) -> VectorReading:
    if reading.cos is None or not others:
        return reading
    cos = reading.cos
    return reading.model_copy(update={"above": sum(other >= cos for text in others for other in text)})


def _summary(others: Sequence[Sequence[float]]) -> OtherReadings | None:
    cosines = [cos for text in others for cos in text]
    if len(cosines) < 2:
        return None
    low, high = np.percentile(cosines, [5, 95]).tolist()
    return OtherReadings(
        n=len(cosines), texts=len(others), mean=float(np.mean(cosines)), interval=(low, high)
    )
