"""One case, made: its analysis, causal scores and edits, each asked of the service that has it.

They have addresses of their own, so a case that was broken off finds again what is finished of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import BadInput, Busy, Conflict, Interrupted, ModelError, NotFound
from server.interventions.schema import Intervention
from server.interventions.service import Interventions
from server.jobs.progress import FINAL
from server.measurements.schema import MeasurementRequest
from server.measurements.service import Measurements
from server.pairs.model_pool import ModelPool
from server.studies.declaration import CaseSpec, Declaration, Findings, PlannedEdit
from server.studies.schema import Case

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds between two tries where a queue is full."""
_log = logging.getLogger(__name__)


class CaseFailed(Exception):
    """A case could not be made, and may be at another time."""


class CaseRun:
    """Makes cases."""

    def __init__(
        self, analyses: Analyses, measurements: Measurements, interventions: Interventions, models: ModelPool
    ) -> None:
        self._analyses = analyses
        self._measurements = measurements
        self._interventions = interventions
        self._models = models

    async def make(
        self, declaration: Declaration, spec: CaseSpec, own: set[str], *, study: str, again: bool
    ) -> Case:
        """The case, of the study of this id. `own` holds the analyses at work that were begun for cases. `again`: an
        earlier run of the study may have begun its analysis. Raises CaseFailed, BadInput for what no case of the study
        can have measured, Interrupted when this server ends, and NotReady.
        """
        assert spec.request is not None, "a case without a request is not made"
        try:
            request = spec.request
            if not declaration.reads_all:
                tokens = await self._analyses.text(request)
        except BadInput as error:
            return failed_case(spec, error.detail)
        if declaration.reads_all:
            request = request.model_copy(update={"positions": "all"})
        else:
            positions = await asyncio.to_thread(declaration.positions, spec, tokens)
            request = request.model_copy(update={"positions": positions})

        async def begin() -> Analysis:
            analysis, existed = await self._analyses.create(request, study)
            if analysis.status not in FINAL and (again or not existed):
                own.add(analysis.id)
            return analysis

        try:
            analysis = await _patiently(begin)
        except BadInput as error:
            return failed_case(spec, error.detail)
        try:
            found = await self._findings(declaration, spec, analysis.id)
        except Exception:  # of what is cancelled, whoever cancels it has to know
            own.discard(analysis.id)
            raise
        own.discard(analysis.id)
        return await asyncio.to_thread(declaration.case, spec, found)

    async def stop(self, own: Collection[str]) -> None:
        """Cancel what was begun for cases."""
        for analysis_id in own:
            with suppress(NotFound):
                await self._analyses.cancel(analysis_id)
                await self._measurements.cancel(analysis_id)
                await self._interventions.cancel(analysis_id)

    async def _findings(self, declaration: Declaration, spec: CaseSpec, analysis_id: str) -> Findings:
        try:
            analysis = await self._finished(analysis_id)
            scored = any(reading.cos is not None for reading in analysis.readings)
            causal = await self._causal(analysis.id) if scored and declaration.causal else {}
        except (Conflict, ModelError, NotFound) as error:
            raise CaseFailed(error.detail) from error
        edits = [
            (plan, made)
            for plan in declaration.edits(spec, analysis)
            if (made := await self._edit(plan, analysis))
        ]
        return Findings(analysis, causal, edits)

    async def _finished(self, analysis_id: str) -> Analysis:
        """The analysis, at its end. Raises CaseFailed where that is no good one."""
        async with aclosing(self._analyses.events(analysis_id)) as events:
            async for _ in events:
                pass  # it is looked at when it is whole
        analysis = await self._analyses.get(analysis_id)
        if analysis.status not in FINAL:
            raise Interrupted("The server is ending; it goes on with this study when it starts again.")
        if analysis.status != "done":
            raise CaseFailed(analysis.error or "Its analysis was cancelled.")
        return analysis

    async def _causal(self, analysis_id: str) -> dict[int, float | None]:
        """The causal score at each position."""
        request = MeasurementRequest(kind="causal")
        id, _ = await _patiently(lambda: self._measurements.submit(analysis_id, request))
        measured = await self._measurements.wait(id)
        return {score.position: score.score for score in measured.scores}

    async def _edit(self, plan: PlannedEdit, analysis: Analysis) -> Intervention | None:
        """The edit; None where it cannot be made (its words come to the same vector)."""

        async def submit() -> tuple[str, bool]:
            async with self._models.acquire(analysis.pair):
                return await self._interventions.submit(analysis.id, plan.request)

        try:
            id, _ = await _patiently(submit)
            return await self._interventions.wait(id)
        except (BadInput, Conflict, ModelError, NotFound) as error:
            _log.info("an edit of %s is left out: %s", analysis.id, error.detail)
            return None


def failed_case(spec: CaseSpec, error: str) -> Case:
    """A case that came to nothing."""
    return Case(
        number=spec.number,
        label=spec.label,
        error=error,
        factors=spec.factors,
        product=None if spec.factors is None else spec.factors[0] * spec.factors[1],
        row=dict(spec.row),
    )


async def _patiently(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await `call()`, again and again while the queue is full. Cancelled, it ends after the call: what that begins
    would go on, and nobody know of it.
    """
    while True:
        asked = asyncio.create_task(call())
        try:
            return await asyncio.shield(asked)
        except Busy:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            await asyncio.gather(asked, return_exceptions=True)
            raise
