"""Interventions as jobs: from what was asked to what the models need, and from their answer to what is kept."""

from __future__ import annotations

import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from server.analyses.analysis_jobs import check_weights
from server.analyses.reconstruction import check_lengths
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import BadInput, Conflict, NotFound
from server.interventions.job import Inputs, InterventionJob, edit_url
from server.interventions.run import InterventionInputs, Result, Vector, intervene
from server.interventions.schema import Gold, Intervention, InterventionRequest
from server.jobs.attached_job import AttachedKind
from server.metrics import Metrics
from server.settings import Settings
from server.store import attached, repository
from server.store.database import Store
from server.store.tables import InterventionRow, VectorRow
from server.store.vectors import unpack
from server.vectors.kind import check_fits
from server.vectors.service import find

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


async def fitting_vector(store: Store, vector_id: str, analysis: Analysis) -> VectorRow:
    """The vector that is to be patched into an analysis. Raises BadInput where there is none, or it is of another pair,
    layer or width.
    """
    try:
        row = await find(store, vector_id)
    except NotFound as error:
        raise BadInput("vector", error.detail) from error
    if (row.pair, row.layer) != (analysis.pair, analysis.layer):
        raise BadInput(
            "vector",
            f"It is of {row.pair} at layer {row.layer} ({row.d_model} numbers), this analysis is by {analysis.pair} at "
            f"layer {analysis.layer}: it does not fit. Make one of activations by {analysis.pair}, or analyse the text "
            f"with {row.pair}.",
        )
    return row


class InterventionKind(AttachedKind[InterventionRow, InterventionJob]):
    """The interventions of this server as jobs of its scheduler. They have slots of their own, so that an edit does not
    wait for the end of an analysis; the models take turns between both.
    """

    name = "edit"
    plural = "edits"
    table = InterventionRow

    def __init__(self, analyses: Analyses, store: Store, settings: Settings, metrics: Metrics) -> None:
        super().__init__()
        self.slots, self.bound = settings.max_running, settings.max_edits
        self.running, self.waiting = metrics.edits_running, metrics.edits_waiting
        self._analyses = analyses
        self._store = store
        self._settings = settings

    def load(self, id: str, session: Session) -> InterventionRow:
        """Everything kept of an edit."""
        return session.get_one(InterventionRow, id)

    def job(self, stored: InterventionRow) -> InterventionJob:
        """The job. Raises Unreadable."""
        return InterventionJob(stored, self._store)

    def fail(self, stored: InterventionRow, error: str, session: Session) -> None:
        """Remove an edit of which no run can begin: it can be asked for again."""
        attached.remove(InterventionRow, stored.id, session)

    async def prepare(self, pair: LoadedPair, analysis: Analysis, inputs: Inputs) -> InterventionInputs:
        """Collect the inputs of the models. Raises BadInput and Conflict for what cannot be done."""
        await check_weights(self._store, pair, analysis)
        if inputs.request.text is not None:
            await check_lengths(pair, "text", [inputs.request.text], self._settings)
        return await self._material(pair, analysis, inputs)

    async def make(self, job: InterventionJob, pair: LoadedPair) -> Intervention:
        """Make an edit."""
        began = time.monotonic()
        analysis = await self._analyses.get(job.row.analysis_id)
        inputs = job.inputs
        material = await self.prepare(pair, analysis, inputs)
        result: Result | None = None
        async with aclosing(intervene(pair, material)) as steps:
            async for step in steps:
                if isinstance(step, Result):
                    result = step
                else:
                    job.take(step)
        assert result is not None, "it is the last step"
        return Intervention(
            id=job.id,
            url=edit_url(analysis.id, inputs.request.position, job.id),
            analysis=analysis.id,
            created=job.row.created,
            request=inputs.request,
            pair=analysis.pair,
            layer=pair.layer,
            until=inputs.until,
            kl=result.kls[-1],
            kls=result.kls,
            cos_original=result.cos_original,
            score=result.score,
            original=inputs.original,
            vector=inputs.vector,
            before=result.before,
            after=result.after,
            controls=result.controls,
            delta_ratio=result.delta_ratio,
            verdict=result.verdict,
            sweep=result.sweep,
            replay=result.replay,
            versions=dict(pair.versions),
            seconds=round(time.monotonic() - began, 3),
        )

    async def _material(self, pair: LoadedPair, analysis: Analysis, inputs: Inputs) -> InterventionInputs:
        request = inputs.request
        blob = await self._store.read(partial(repository.activations, analysis.id))
        if blob is None:
            raise Conflict("The activations are not known yet: wait until the lens is there.")
        ids = [token.id for token in analysis.tokens[: inputs.until + 1]]
        self._check_length(pair, len(ids), request)
        vectors = await self._store.read(partial(attached.reconstructions, analysis.id, inputs.others))
        gold = None if request.gold is None else await self._gold(request.gold, analysis)
        vector = None
        if request.vector is not None:
            row = await fitting_vector(self._store, request.vector, analysis)
            check_fits(row, pair)
            vector = unpack(row.data)[0]
        return InterventionInputs(
            request=request,
            ids=ids,
            h=unpack(blob)[request.position],
            original=inputs.original,
            others=[unpack(vector)[0] for vector in vectors],
            gold=gold,
            vector=vector,
        )

    def _check_length(self, pair: LoadedPair, count: int, request: InterventionRequest) -> None:
        wanted, most = request.generate.max_new_tokens, self._settings.max_reply_tokens
        if wanted > most:
            detail = f"{wanted:,} is more than the {most:,} that this server takes."
            raise BadInput("generate.max_new_tokens", detail)
        if count + wanted > pair.target.max_tokens:
            raise BadInput(
                "generate.max_new_tokens",
                f"With the {count:,} tokens before it that would be more than the {pair.target.max_tokens:,} that the "
                "model reads.",
            )

    async def _gold(self, gold: Gold, analysis: Analysis) -> Vector:
        try:
            other = await self._analyses.get(gold.analysis)
        except NotFound as error:
            raise BadInput("gold.analysis", error.detail) from error
        blob = await self._store.read(partial(repository.activations, other.id))
        if blob is None:
            raise BadInput("gold.analysis", "It has no activations yet.")
        if (other.pair, other.layer) != (analysis.pair, analysis.layer):
            raise BadInput(
                "gold.analysis",
                f"It is by {other.pair} at layer {other.layer}, this one by {analysis.pair} at layer {analysis.layer}: "
                "their activations do not fit.",
            )
        if gold.position >= len(other.tokens):
            raise BadInput("gold.position", f"It ends at position {len(other.tokens) - 1}.")
        found: Vector = unpack(blob)[gold.position]
        return found
