"""The service of studies: ask, watch, cancel, delete. A study outlives whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from sqlalchemy.orm import Session

from server.analyses.content_id import digest, short
from server.analyses.limits import check_limits
from server.analyses.service import Analyses
from server.errors import BadInput, FieldError, NotFound
from server.interventions.service import Interventions
from server.jobs.event_log import Event, EventLog
from server.jobs.scheduler import Scheduler
from server.jobs.streams import Found, RemoteState, Streams
from server.measurements.service import Measurements
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import leases, repository, studies
from server.store.database import Store
from server.store.tables import StudyRow
from server.studies.declaration import CaseSpec, Declaration
from server.studies.documents import load, log_of, progress_of, stored_study, summary_of
from server.studies.job import StudyJob
from server.studies.kind import StudyKind, case_id, declare
from server.studies.requests import CapitalsRequest, LanguagesRequest, MultiplicationRequest, Request
from server.studies.schema import Study, StudyEnded, StudySummary, study_url

FORMAT = 1
"""Raised when the same request would give another answer; those of before keep their address."""


class Studies:
    """All studies of this server: those that are jobs of the scheduler, the others in the store."""

    def __init__(
        self,
        scheduler: Scheduler,
        analyses: Analyses,
        measurements: Measurements,
        interventions: Interventions,
        store: Store,
        models: ModelPool,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._scheduler = scheduler
        self._analyses = analyses
        self._store = store
        self._models = models
        self._settings = settings
        services = analyses, measurements, interventions
        self._kind = StudyKind(*services, store, models, settings, metrics)
        scheduler.add(self._kind)
        self._streams = Streams(self._look, self._change_token, _lost)

    # Asking

    async def submit(self, request: Request) -> tuple[str, bool]:
        """Have a study made, unless it is or is being made. Returns its id, and whether it existed. One that failed or
        was cancelled goes on where it stopped. Raises BadInput, and Busy when the queue is full.
        """
        pair = request.pair or self._models.names[0]
        await self._analyses.check_pair(pair)
        wanted = request.model_copy(update={"pair": pair})
        declaration, specs = await asyncio.to_thread(self._declared, wanted)
        row = StudyRow(
            id=await self._id(wanted, declaration, specs[0]),
            pair=pair,
            status="queued",
            created=repository.now(),
            run_number=0,
            kind=wanted.kind,
            title=wanted.title or _title(wanted, len(specs)),
            cases=len(specs),
            inputs=wanted.model_dump_json(ensure_ascii=True),
            result="",
        )

        def claim(server: str, session: Session) -> tuple[bool, str | None]:
            found = studies.claim(row.id, session)
            if found is None:
                self._scheduler.check_room(self._kind)
                leases.add(row, server, session)
            return found is not None, None if found is not None and found.status == "done" else row.id

        existed = await self._scheduler.submit(self._kind, claim)
        return row.id, existed

    async def _id(self, request: Request, declaration: Declaration, first: CaseSpec) -> str:
        """The address of a study, by what is asked for. Where it is done, but by other weights of a pair of this name,
        it stays as it is, and what is asked for now is another study.
        """
        asked = request.model_dump(mode="json", exclude={"title"}, exclude_defaults=True)
        id, pair = short(digest([FORMAT, asked])), request.pair
        assert pair is not None, "filled in"
        if not self._models.is_resident(pair):
            return id
        with self._models.borrow(pair) as resident:
            fingerprint = resident.fingerprint
        kept = await self._store.read(partial(studies.finished_case, id, first.number))
        if kept in (None, case_id(pair, fingerprint, declaration, first)):
            return id
        return short(digest([FORMAT, asked, fingerprint]))

    def _declared(self, request: Request) -> tuple[Declaration, list[CaseSpec]]:
        """The declaration and its cases. Raises BadInput for what this server does not take of any of them."""
        if isinstance(request, MultiplicationRequest) and request.problems > self._settings.max_cases:
            raise BadInput(
                "problems",
                f"{request.problems:,} is more than the {self._settings.max_cases:,} that a study of this server takes "
                "(NLA_MAX_CASES).",
            )
        declaration = declare(request, self._settings)
        specs = declaration.specs()
        first = next((spec.request for spec in specs if spec.request is not None), None)
        if first is None:
            raise BadInput("prompts", "All prompts are empty: something has to stand there.")
        try:
            check_limits(first, self._settings)
        except BadInput as error:
            # How long a prompt may be is told of each case.
            told = [_of_template(each) for each in error.errors if each.field not in ("messages", "text")]
            if told:
                raise BadInput(told[0].field, told[0].detail, *told[1:]) from error
        return declaration, specs

    # Looking

    async def get(self, study_id: str) -> Study:
        """The study as it stands. Raises NotFound."""
        if job := self._job(study_id):
            return job.view()
        stored = await self._store.read(partial(load, study_id)) if _well_formed(study_id) else None
        if stored is None:
            raise _not_found(study_id)
        return await asyncio.to_thread(stored_study, stored)

    async def recent(self, limit: int = 50, before: str | None = None) -> list[StudySummary]:
        """The newest studies, or those after the one of the id `before`. Raises BadInput for an id that is none."""
        moment = None
        if before is not None:
            row = await self._store.read(partial(studies.get, before))
            if row is None:
                raise BadInput("before", f"There is no study {before!r} any more: begin at the newest.")
            moment = row.created
        rows = await self._store.read(partial(studies.recent, limit, moment))
        return [summary_of(row) for row in rows]

    async def events(self, study_id: str, last_event_id: int | None = None) -> AsyncGenerator[Event]:
        """Yield the events after `last_event_id`, then those that come: progress, case, statistics, then done or failed
        (StudyEnded). Raises NotFound at the first step.
        """
        async with aclosing(self._streams.batches(study_id, last_event_id or 0)) as batches:
            async for batch, _ in batches:
                for event in batch:
                    yield event

    async def watch(self, study_id: str) -> AsyncGenerator[Study]:
        """The study as it stands now and after each change, to its end; changes between two steps of the caller come as
        one. Raises NotFound at the first step, or when it is deleted meanwhile.
        """
        yield await self.get(study_id)
        async with aclosing(self._streams.batches(study_id, 0)) as batches:
            async for _ in batches:
                yield await self.get(study_id)

    def _job(self, study_id: str) -> StudyJob | None:
        job = self._scheduler.get(study_id)
        return job if isinstance(job, StudyJob) else None

    async def _look(self, study_id: str) -> Found:
        if job := self._job(study_id):
            return Found(study_id, job.log)
        token = await self._change_token(study_id)  # first: what comes then is news
        stored = await self._store.read(partial(load, study_id)) if _well_formed(study_id) else None
        if stored is None:
            raise _not_found(study_id)
        log: EventLog = await asyncio.to_thread(log_of, stored)
        return Found(study_id, log, None if log.closed else RemoteState(progress_of(stored), token))

    async def _change_token(self, study_id: str) -> object:
        return await self._store.read(partial(studies.change_token, study_id))

    # Changing

    async def cancel(self, study_id: str) -> Study:
        """Stop it, and the analyses that were begun for it; what is finished stays. One that has ended is left as it
        is. Raises NotFound.
        """
        await self._scheduler.cancel(study_id, partial(studies.cancel, study_id))
        return await self.get(study_id)

    async def delete(self, study_id: str) -> None:
        """Remove it for good; the analyses of its cases stay. Raises NotFound."""
        await self.get(study_id)
        await self._scheduler.remove(study_id, lambda _, session: studies.remove(study_id, session))

    # The end

    def stop_streams(self) -> None:
        """End the streams, so that the server can end; watchers come back with their last id."""
        self._streams.stop()

    async def close(self) -> None:
        """End the streams."""
        self.stop_streams()


def _title(request: Request, count: int) -> str:
    if isinstance(request, MultiplicationRequest):
        (low, high), (first, last) = request.factors
        return f"{low}–{high} × {first}–{last}: {count:,} problem{'s' * (count != 1)}"
    if isinstance(request, CapitalsRequest):
        return f"The capitals of {count:,} countries"
    if isinstance(request, LanguagesRequest):
        return f"Languages along {count:,} transcript{'s' * (count != 1)}"
    return f"{count:,} prompt{'s' * (count != 1)}"


def _of_template(error: FieldError) -> FieldError:
    """An error of the first prompt as one of what the prompts are made of."""
    return FieldError(error.field.replace("messages.", "template.", 1), error.detail)


def _lost(id: str, cursor: int, error: str | None) -> Event:
    """The last that a watcher is told of one that is gone, or that cannot be read."""
    told = StudyEnded(
        id=id, url=study_url(id), status="cancelled" if error is None else "failed", error=error
    )
    return Event(cursor + 1, "failed", told)


def _not_found(study_id: str) -> NotFound:
    return NotFound(f"There is no study {study_id!r}: deleted, or not a whole address.")


def _well_formed(study_id: str) -> bool:
    return study_id.isascii() and study_id.isalnum()
