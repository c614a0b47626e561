"""The service of interventions: what may be asked, and the id of what was asked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from server.analyses.analysis_jobs import AnalysisJobs
from server.analyses.content_id import digest, short
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import BadInput, Conflict
from server.interventions.job import Inputs, pending
from server.interventions.kind import InterventionKind, fitting_vector
from server.interventions.run import OTHERS
from server.interventions.schema import (
    ALPHA,
    Intervention,
    InterventionRequest,
    PendingIntervention,
)
from server.jobs.progress import Progress
from server.jobs.scheduler import Scheduler
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import attached, repository
from server.store.database import Store
from server.store.tables import InterventionRow
from server.vectors.schema import UsedVector, url_of_vector

FORMAT = 2
"""Raised when the same request would give another answer; those of before keep their address."""


class OfToken(NamedTuple):
    """Edits of a token, made and being made, and the positions of its analysis that have edits."""

    made: list[Intervention]
    pending: list[PendingIntervention]
    positions: frozenset[int]


class Interventions(AnalysisJobs[InterventionRow, Intervention, PendingIntervention]):
    """All interventions of this server."""

    noun = "edit"
    table = InterventionRow

    def __init__(
        self,
        scheduler: Scheduler,
        analyses: Analyses,
        store: Store,
        models: ModelPool,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._models = models
        self._kind = InterventionKind(analyses, store, settings, metrics)
        super().__init__(scheduler, analyses, store, self._kind)

    async def create(self, analysis_id: str, request: InterventionRequest) -> tuple[Intervention, bool]:
        """The intervention of this request, once it is made, and whether it existed. Raises as `submit` and `wait`."""
        id, existed = await self.submit(analysis_id, request)
        return await self.wait(id), existed

    async def submit(self, analysis_id: str, request: InterventionRequest) -> tuple[str, bool]:
        """Have an intervention made, unless it is or is being made. Returns its id, and whether it is made.

        Raises NotFound, BadInput for what cannot be done, Conflict while the analysis has no activations or is of
        another pair, Busy when the queue is full, and NotReady.
        """
        analysis = await self._analyses.get(analysis_id)
        inputs = _inputs(request, analysis)
        if inputs.request.vector is not None:
            inputs.vector = await self._vector(inputs.request.vector, analysis)
        id = _id(analysis, inputs)
        if await self.is_made(analysis.id, id):
            return id, True
        if self._scheduler.get(id) is None:
            await self._check(analysis, inputs)
        row = InterventionRow(
            id=id,
            analysis_id=analysis.id,
            pair=analysis.pair,
            status="queued",
            position=inputs.request.position,
            created=repository.now(),
            run_number=0,
            inputs=inputs.model_dump_json(ensure_ascii=True),
            result="",
            search_text="\n".join([_said(inputs), *inputs.request.targets]),
        )
        return id, await self._submit(row)

    async def _check(self, analysis: Analysis, inputs: Inputs) -> None:
        """Raise what is wrong with a request before it waits for its turn."""
        if analysis.pair not in self._models.names:
            raise Conflict(f"This analysis is of {analysis.pair}, which this server does not have.")
        with self._models.borrow(analysis.pair) as pair:
            await self._kind.prepare(pair, analysis, inputs)

    async def _vector(self, vector_id: str, analysis: Analysis) -> UsedVector:
        row = await fitting_vector(self._store, vector_id, analysis)
        return UsedVector(id=row.id, url=url_of_vector(row.id), name=row.name)

    async def of_token(self, analysis_id: str, position: int) -> OfToken:
        """Gather the edits that the panel of a token shows, in one read. Raises NotFound."""

        def find(session: Session) -> tuple[list[Intervention], list[InterventionRow], frozenset[int]]:
            own = self._parent(analysis_id, session)
            made, unfinished = list[Intervention](), list[InterventionRow]()
            edits = attached.edits(own, session)
            here = {status for at, status in edits if at == position}
            if "done" in here:
                results = attached.made(self.table, own, session, position=position)
                made = [self._made(result) for result in results]
            if here - {"done"}:
                unfinished += attached.pending(self.table, own, session, position=position)
            return made, unfinished, frozenset(at for at, status in edits if status == "done")

        made, unfinished, positions = await self._store.read(find)
        return OfToken(made, [await self._of_row(row) for row in unfinished], positions)

    def _made(self, result: str) -> Intervention:
        return Intervention.model_validate_json(result)

    def _pending(self, row: InterventionRow, progress: Progress) -> PendingIntervention:
        return pending(row, progress)


def _id(analysis: Analysis, inputs: Inputs) -> str:
    """The id. It covers the readings to compare with: while readings are being written, those are fewer than later."""
    asked = inputs.request.model_dump(mode="json")
    if asked["vector"] is None:  # the ids of before there were vectors stay
        del asked["vector"]
    return short(digest([FORMAT, analysis.id, asked, inputs.original, inputs.others]))


def _said(inputs: Inputs) -> str:
    """The text that a search finds an edit by: its words, or the name of its vector."""
    return inputs.request.text or (inputs.vector.name if inputs.vector else "")


def _inputs(request: InterventionRequest, analysis: Analysis) -> Inputs:
    """The request with everything filled in, so that equal wishes are equal requests. Raises Conflict and BadInput."""
    if not analysis.tokens:
        raise Conflict("The tokens are not known yet.")
    _check_words(request)
    last = len(analysis.tokens) - 1
    if request.position > last:
        raise BadInput("position", f"There is no position {request.position}: the text ends at {last}.")
    until = request.until
    if until is None:
        ends = [token.position for token in analysis.tokens if token.kind == "prompt"]
        until = max([request.position, *ends])
    if not request.position <= until <= last:
        raise BadInput("until", f"The model can go on after the positions {request.position} to {last}.")
    steers = request.mode == "steer"
    delta = None if request.vector is not None else request.delta or "original"
    original = _original(analysis, request)
    if steers and delta == "original" and original is None:
        raise BadInput(
            "delta",
            f"Sample {request.sample} of this position has no reading to steer away from; steer from the activation "
            "(delta: activation), or replace.",
        )
    alpha = ALPHA if request.alpha is None else request.alpha
    if steers and alpha == 0:
        raise BadInput("alpha", "0 times the direction moves nothing.")
    wanted = request.model_copy(
        update={
            "until": until,
            "alpha": alpha if steers else None,
            "delta": delta if steers else None,
            "sweep": sorted(set(request.sweep) - {0.0}) if steers else [],
            "targets": list(dict.fromkeys(request.targets)),
        }
    )
    return Inputs(request=wanted, original=original, others=_others(analysis, wanted, original))


def _check_words(request: InterventionRequest) -> None:
    """Raise BadInput unless there are either words or a vector."""
    if request.text is None and request.vector is None:
        raise BadInput(
            "text", "Give the words that the activation is to hold, or a vector (its id) in their place."
        )
    if request.text is not None and request.vector is not None:
        raise BadInput(
            "vector", "Give words (text) or a vector, not both: what is patched in is one of them."
        )
    if request.vector is not None and request.delta is not None:
        raise BadInput(
            "delta",
            "A vector is steered along as it is: leave delta out, or make the difference a vector of its own.",
        )


def _original(analysis: Analysis, request: InterventionRequest) -> str | None:
    place = (request.position, request.sample)
    return next((r.text for r in analysis.readings if (r.position, r.sample) == place and r.text), None)


def _others(analysis: Analysis, request: InterventionRequest, original: str | None) -> list[int]:
    """Content positions spread evenly over those that were read and scored, and read otherwise than this one:
    steered from equal words, only rounding would be left to follow.
    """
    content = {token.position for token in analysis.tokens if token.content}
    scored = sorted(
        r.position
        for r in analysis.readings
        if r.cos is not None
        and r.sample == 0
        and r.position != request.position
        and r.position in content
        and r.text not in (original, request.text)
    )
    if len(scored) <= OTHERS:
        return scored
    return [scored[n] for n in np.linspace(0, len(scored) - 1, OTHERS).round().astype(int)]
