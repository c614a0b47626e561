"""The writes of one transaction: readings, failures and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from server.analyses.readings import Key, Vector
from server.analyses.schema import READING_COLUMNS, Reading
from server.nla.verbalisers.base import Failed, Finished
from server.store import repository
from server.store.vectors import pack

if TYPE_CHECKING:
    from server.nla.scores import Score


class ReadingWrites:
    """The writes of one transaction: `told` are the readings as they then stand, each with its
    event's id.
    """

    def __init__(self, analysis_id: str, readings: Mapping[Key, Reading]) -> None:
        self.told: list[tuple[int, Reading]] = []
        self._id = analysis_id
        self._now = dict(readings)
        self._rows: dict[Key, dict[str, Any]] = {}
        self._scores: dict[Key, dict[str, Any]] = {}

    def write(self, finding: Finished, event: int) -> None:
        """A reading has ended."""
        position, sample = finding.key
        reading = Reading(position=position, sample=sample, text=finding.text, truncated=finding.truncated)
        self._put(finding.key, reading, event, finding.tokens)

    def mark(self, finding: Failed, event: int) -> None:
        """A reading, or its score, has failed."""
        position, sample = finding.key
        before = self._now.get(finding.key, Reading(position=position, sample=sample))
        self._put(finding.key, before.model_copy(update={"error": finding.reason}), event, 0)

    def score(self, key: Key, score: Score, vector: Vector, event: int) -> None:
        """A reading has its score."""
        numbers = vars(score)
        self._tell(key, self._now[key].model_copy(update=numbers), event)
        position, sample = key
        row = {"analysis_id": self._id, "position": position, "sample": sample, "event": event}
        self._scores[key] = {**row, **numbers, "vector": pack(vector, exact=False)}

    def keep(self, session: Session) -> None:
        """Write all of it."""
        if self._rows:
            repository.save_readings(list(self._rows.values()), session)
        if self._scores:
            repository.save_scores(list(self._scores.values()), session)

    def _put(self, key: Key, reading: Reading, event: int, tokens: int) -> None:
        self._tell(key, reading, event)
        about = {"analysis_id": self._id, "tokens": tokens, "event": event}
        self._rows[key] = about | reading.model_dump(include=READING_COLUMNS)

    def _tell(self, key: Key, reading: Reading, event: int) -> None:
        self._now[key] = reading
        self.told.append((event, reading))
