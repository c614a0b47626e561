"""Ask for an intervention, find it again. What was asked decides where it stands, so nothing is computed twice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from server.analyses.content_id import digest, short
from server.analyses.reconstruction import check_lengths
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import BadInput, Busy, Conflict, NotFound, StoreUnavailable
from server.interventions.run import OTHERS, InterventionInputs, Vector, intervene
from server.interventions.schema import ALPHA, Gold, Intervention, InterventionRequest
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import interventions as kept
from server.store import repository
from server.store.database import Store
from server.store.tables import InterventionRow
from server.store.vectors import unpack

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

_log = logging.getLogger(__name__)
FORMAT = 2
"""Raised when the same request would give another answer; those of before keep their address."""


@dataclass(frozen=True)
class _Wish:
    """A normalised request and what its analysis has for it: the reading as it is, and the positions of others."""

    analysis: Analysis
    request: InterventionRequest
    original: str | None
    others: Sequence[int]

    @property
    def until(self) -> int:
        assert self.request.until is not None, "a normalised request has one"
        return self.request.until

    @property
    def id(self) -> str:
        """What there is to compare with is a part of it: while readings are being written, that is less than later."""
        asked = self.request.model_dump(mode="json")
        return short(digest([FORMAT, self.analysis.id, asked, self.original, list(self.others)]))


_Made = tuple[Intervention, bool]


@dataclass(frozen=True)
class _Work:
    """An intervention that is being made."""

    analysis: str
    task: asyncio.Task[_Made]


class Interventions:
    """All interventions of this server. One outlives whoever asked for it, as an analysis does."""

    def __init__(self, analyses: Analyses, store: Store, models: ModelPool, settings: Settings) -> None:
        self._analyses = analyses
        self._store = store
        self._models = models
        self._settings = settings
        self._at_work: dict[str, _Work] = {}
        analyses.before_delete(self.cancel_all)

    async def create(self, analysis_id: str, request: InterventionRequest) -> tuple[Intervention, bool]:
        """The intervention of this request and whether it existed. Raises NotFound, BadInput for what cannot
        be done, Conflict while the analysis has no activations, is of another pair, or when somebody cancels
        it, Busy when too many are being made, NotReady, and what the models raise.
        """
        analysis = await self._analyses.get(analysis_id)
        wish = _wish(request, analysis)
        id = wish.id
        if id not in self._at_work and len(self._at_work) >= self._settings.max_edits:
            if (found := await self._find(analysis.id, id)) is not None:
                return found, True
            raise Busy(f"{len(self._at_work)} edits are being made already. Try again in a while.")
        if id not in self._at_work:
            task = asyncio.create_task(self._find_or_make(id, wish), name=f"intervention-{id}")
            self._at_work[id] = _Work(analysis.id, task)
            task.add_done_callback(lambda done: self._ended(id, done))
        task = self._at_work[id].task
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise  # whoever asked has left
            raise Conflict("This edit was cancelled before it was made.") from None

    async def cancel(self, analysis_id: str) -> list[str]:
        """End the making of all edits of an analysis; their askers are told. Returns the ids. Raises NotFound."""
        return await self.cancel_all(await self._analyses.check(analysis_id))

    async def cancel_all(self, analysis_id: str) -> list[str]:
        """As `cancel`, of an analysis of this very id."""
        ended = {id: work.task for id, work in self._at_work.items() if work.analysis == analysis_id}
        await _cancel(ended.values())
        return list(ended)

    async def get(self, analysis_id: str, intervention_id: str) -> Intervention:
        """One that is kept. Raises NotFound."""
        analysis = await self._analyses.check(analysis_id)
        found = await self._find(analysis, intervention_id) if _well_formed(intervention_id) else None
        if found is None:
            raise NotFound(f"This analysis has no intervention {intervention_id!r}.")
        return found

    async def of(self, analysis_id: str, position: int | None = None) -> list[Intervention]:
        """Those of an analysis, or of one position, oldest first. Raises NotFound."""
        analysis = await self._analyses.check(analysis_id)
        rows = await self._store.read(partial(kept.of, analysis, position))
        return [Intervention.model_validate_json(row) for row in rows]

    async def delete(self, analysis_id: str, intervention_id: str) -> None:
        """Remove one for good; it can be computed again. Raises NotFound."""
        analysis = await self._analyses.check(analysis_id)
        work = partial(kept.remove, analysis, intervention_id)
        if not (_well_formed(intervention_id) and await self._store.write(work)):
            raise NotFound(f"This analysis has no intervention {intervention_id!r}.")

    async def close(self) -> None:
        """Put down what is at work."""
        await _cancel([work.task for work in self._at_work.values()])

    def _ended(self, id: str, task: asyncio.Task[_Made]) -> None:
        del self._at_work[id]
        if not task.cancelled():
            task.exception()  # whoever asked may have left before it was raised

    async def _find(self, analysis_id: str, id: str) -> Intervention | None:
        found = await self._store.read(partial(kept.get, analysis_id, id))
        return None if found is None else Intervention.model_validate_json(found)

    async def _find_or_make(self, id: str, wish: _Wish) -> tuple[Intervention, bool]:
        analysis = wish.analysis.id
        if (found := await self._find(analysis, id)) is not None:
            return found, True
        made = await self._make(id, wish)
        row = InterventionRow(
            id=id,
            analysis_id=analysis,
            position=made.request.position,
            created=made.created,
            result=made.model_dump_json(ensure_ascii=True),
            search_text="\n".join([made.request.text, *made.request.targets]),
        )

        def failed(error: StoreUnavailable) -> None:
            _log.error("intervention %s is kept later: %s", id, error.detail)

        if not await self._store.write_until_kept(partial(kept.keep, row), failed):
            raise NotFound("The analysis has just been deleted.")
        return made, False

    async def _make(self, id: str, wish: _Wish) -> Intervention:
        began = time.monotonic()
        analysis, request = wish.analysis, wish.request
        if analysis.pair not in self._models.names:
            raise Conflict(f"This analysis is of {analysis.pair}, which this server does not have.")
        with self._models.borrow(analysis.pair) as pair:
            await self._check_weights(pair, analysis)
            await check_lengths(pair, "text", [request.text], self._settings)
            material = await self._material(pair, wish)
            result = await intervene(pair, material)
            versions = dict(pair.versions)
        return Intervention(
            id=id,
            url=f"{analysis.url}?t={request.position}&edit={id}",
            analysis=analysis.id,
            created=repository.now(),
            request=request,
            pair=analysis.pair,
            layer=pair.layer,
            until=wish.until,
            kl=result.kls[-1],
            kls=result.kls,
            cos_original=result.cos_original,
            score=result.score,
            original=wish.original,
            before=result.before,
            after=result.after,
            controls=result.controls,
            delta_ratio=result.delta_ratio,
            verdict=result.verdict,
            sweep=result.sweep,
            versions=versions,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _material(self, pair: LoadedPair, wish: _Wish) -> InterventionInputs:
        analysis, request = wish.analysis, wish.request
        blob = await self._store.read(partial(repository.activations, analysis.id))
        if blob is None:
            raise Conflict("The activations are not known yet: wait until the lens is there.")
        ids = [token.id for token in analysis.tokens[: wish.until + 1]]
        self._check_length(pair, len(ids), request)
        vectors = await self._store.read(partial(kept.reconstructions, analysis.id, wish.others))
        gold = None if request.gold is None else await self._gold(request.gold, analysis)
        return InterventionInputs(
            request=request,
            ids=ids,
            h=unpack(blob)[request.position],
            original=wish.original,
            others=[unpack(vector)[0] for vector in vectors],
            gold=gold,
        )

    async def _check_weights(self, pair: LoadedPair, analysis: Analysis) -> None:
        """What the AR of today makes of words does not belong to activations of yesterday's target."""
        row = await self._store.read(partial(repository.get, analysis.id))
        if row is not None and row.fingerprint not in (None, pair.fingerprint):
            raise Conflict(
                f"This was analysed with other weights of {pair.name}: analyse the text again, and edit that."
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


async def _cancel(tasks: Iterable[asyncio.Task[_Made]]) -> None:
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _well_formed(id: str) -> bool:
    return id.isascii() and id.isalnum()


def _wish(request: InterventionRequest, analysis: Analysis) -> _Wish:
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
    return _Wish(analysis, wanted, original, _others(analysis, wanted, original))


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
