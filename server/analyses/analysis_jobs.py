"""Jobs that belong to an analysis: edits and measurements."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from server.analyses.schema import Analysis
from server.analyses.service import Analyses, row_of
from server.errors import Conflict
from server.jobs.attached import AttachedJobs, Made, Pending
from server.jobs.attached_job import AttachedKind, Row
from server.jobs.scheduler import Scheduler
from server.store import repository
from server.store.database import Store

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


class AnalysisJobs(AttachedJobs[Row, Made, Pending]):
    """All of one kind that belong to analyses."""

    parent = "analysis"

    def __init__(
        self, scheduler: Scheduler, analyses: Analyses, store: Store, kind: AttachedKind[Any, Any]
    ) -> None:
        super().__init__(scheduler, store, kind)
        self._analyses = analyses

    def _parent(self, parent_id: str, session: Session) -> str:
        return row_of(parent_id, session).id


async def check_weights(store: Store, pair: LoadedPair, analysis: Analysis) -> None:
    """Raise Conflict if the pair has other weights than the analysis: their vectors do not belong together."""
    row = await store.read(partial(repository.get, analysis.id))
    if row is not None and row.fingerprint not in (None, pair.fingerprint):
        raise Conflict(
            f"This was analysed with other weights of {pair.name}: analyse the text again, and go on from that."
        )
