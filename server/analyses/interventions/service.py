"""Ask for an intervention, find it again. What was asked decides where it stands, so nothing is computed twice."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from server.analyses.address import digest, short
from server.analyses.interventions.run import OTHERS, Material, Vector, intervene
from server.analyses.interventions.schema import ALPHA, Gold, Intervention, InterventionRequest
from server.analyses.models import Models
from server.analyses.schema import Analysis, Reading
from server.analyses.service import Analyses
from server.errors import BadInput, Conflict, NotFound
from server.settings import Settings
from server.store import interventions as kept
from server.store import repository
from server.store.database import Store
from server.store.tables import InterventionRow
from server.store.vectors import unpack

if TYPE_CHECKING:
    from server.nla.resident import ResidentPair

FORMAT = 1
"""Raised when the same request would give another answer; those of before keep their address."""


class Interventions:
    """All interventions of this server. One outlives whoever asked for it, as an analysis does."""

    def __init__(self, analyses: Analyses, store: Store, models: Models, settings: Settings) -> None:
        self._analyses = analyses
        self._store = store
        self._models = models
        self._settings = settings
        self._at_work: dict[str, asyncio.Task[Intervention]] = {}

    async def create(self, analysis_id: str, request: InterventionRequest) -> tuple[Intervention, bool]:
        """The intervention of this request and whether it existed. Raises NotFound, BadInput for what cannot be done,
        Conflict while the analysis has no activations or is of another pair, NotReady, and what the models raise.
        """
        analysis = await self._analyses.get(analysis_id)
        wanted = _normalised(request, analysis)
        id = short(digest([FORMAT, analysis.id, wanted.model_dump(mode="json")]))
        if (found := await self._store.read(partial(kept.get, analysis.id, id))) is not None:
            return Intervention.model_validate_json(found), True
        task = self._at_work.get(id)
        if task is None:
            task = asyncio.create_task(self._make(id, analysis, wanted), name=f"intervention-{id}")
            self._at_work[id] = task
            task.add_done_callback(lambda done: self._ended(id, done))
        return await asyncio.shield(task), False

    async def get(self, analysis_id: str, intervention_id: str) -> Intervention:
        """One that is kept. Raises NotFound."""
        analysis = await self._analyses.check(analysis_id)
        found = await self._store.read(partial(kept.get, analysis, intervention_id))
        if found is None:
            raise NotFound(f"This analysis has no intervention {intervention_id!r}.")
        return Intervention.model_validate_json(found)

    async def of(self, analysis_id: str, position: int | None = None) -> list[Intervention]:
        """Those of an analysis, or of one position, oldest first. Raises NotFound."""
        analysis = await self._analyses.check(analysis_id)
        rows = await self._store.read(partial(kept.of, analysis, position))
        return [Intervention.model_validate_json(row) for row in rows]

    async def delete(self, analysis_id: str, intervention_id: str) -> None:
        """Remove one for good; it can be computed again. Raises NotFound."""
        analysis = await self._analyses.check(analysis_id)
        if not await self._store.write(partial(kept.remove, analysis, intervention_id)):
            raise NotFound(f"This analysis has no intervention {intervention_id!r}.")

    async def close(self) -> None:
        """Put down what is at work."""
        for task in (tasks := list(self._at_work.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, id: str, task: asyncio.Task[Intervention]) -> None:
        del self._at_work[id]
        if not task.cancelled():
            task.exception()  # whoever asked may have left before it was raised

    async def _make(self, id: str, analysis: Analysis, request: InterventionRequest) -> Intervention:
        began = time.monotonic()
        if analysis.pair not in self._models.names:
            raise Conflict(f"This analysis is of {analysis.pair}, which this server does not have.")
        with self._models.called(analysis.pair) as pair:
            material = await self._material(pair, analysis, request)
            result = await intervene(pair, material)
            versions = dict(pair.versions)
        assert request.until is not None, "a normalised request has one"
        made = Intervention(
            id=id,
            url=f"{analysis.url}?t={request.position}&edit={id}",
            analysis=analysis.id,
            created=repository.now(),
            request=request,
            pair=analysis.pair,
            layer=pair.layer,
            until=request.until,
            kl=result.kls[-1],
            kls=result.kls,
            cos_original=result.cos_original,
            score=result.score,
            original=material.original,
            before=result.before,
            after=result.after,
            controls=result.controls,
            versions=versions,
            seconds=round(time.monotonic() - began, 3),
        )
        row = InterventionRow(
            id=id,
            analysis_id=analysis.id,
            position=request.position,
            created=made.created,
            result=made.model_dump_json(ensure_ascii=True),
        )
        if not await self._store.write(partial(kept.keep, row)):
            raise NotFound("The analysis has just been deleted.")
        return made

    async def _material(
        self, pair: ResidentPair, analysis: Analysis, request: InterventionRequest
    ) -> Material:
        blob = await self._store.read(partial(repository.activations, analysis.id))
        if blob is None:
            raise Conflict("The activations are not known yet: wait until the lens is there.")
        assert request.until is not None, "a normalised request has one"
        ids = [token.id for token in analysis.tokens[: request.until + 1]]
        self._check_length(pair, len(ids), request)
        reading = _reading(analysis, request)
        chosen = _others(analysis, request.position)
        vectors = await self._store.read(partial(kept.reconstructions, analysis.id, chosen))
        gold = None if request.gold is None else await self._gold(request.gold, analysis)
        return Material(
            request=request,
            ids=ids,
            h=unpack(blob)[request.position],
            original=None if reading is None else reading.text,
            others=[unpack(vector)[0] for vector in vectors],
            gold=gold,
        )

    def _check_length(self, pair: ResidentPair, count: int, request: InterventionRequest) -> None:
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
        if (other.pair, other.layer) != (analysis.pair, analysis.layer):
            raise BadInput(
                "gold.analysis",
                f"It is by {other.pair}, this one by {analysis.pair}: their activations do not fit.",
            )
        blob = await self._store.read(partial(repository.activations, other.id))
        if blob is None or gold.position >= len(other.tokens):
            last = len(other.tokens) - 1
            detail = "It has no activations yet." if blob is None else f"It ends at position {last}."
            raise BadInput("gold.analysis" if blob is None else "gold.position", detail)
        found: Vector = unpack(blob)[gold.position]
        return found


def _normalised(request: InterventionRequest, analysis: Analysis) -> InterventionRequest:
    """The request with everything filled in, so that equal wishes are equal requests. Raises Conflict and BadInput."""
    if not analysis.tokens:
        raise Conflict("The tokens are not known yet.")
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
    delta = request.delta or "original"
    if steers and delta == "original" and _reading(analysis, request) is None:
        raise BadInput(
            "delta",
            f"Sample {request.sample} of this position has no reading to steer away from; steer from the activation "
            "(delta: activation), or replace.",
        )
    alpha = ALPHA if request.alpha is None else request.alpha
    if steers and alpha == 0:
        raise BadInput("alpha", "0 times the direction moves nothing.")
    return request.model_copy(
        update={
            "until": until,
            "alpha": alpha if steers else None,
            "delta": delta if steers else None,
            "targets": list(dict.fromkeys(request.targets)),
        }
    )


def _reading(analysis: Analysis, request: InterventionRequest) -> Reading | None:
    place = (request.position, request.sample)
    return next((r for r in analysis.readings if (r.position, r.sample) == place and r.text), None)


def _others(analysis: Analysis, position: int) -> list[int]:
    """Positions spread evenly over those that were read and scored."""
    scored = sorted(
        {r.position for r in analysis.readings if r.cos is not None and r.sample == 0} - {position}
    )
    if len(scored) <= OTHERS:
        return scored
    return [scored[n] for n in np.linspace(0, len(scored) - 1, OTHERS).round().astype(int)]
