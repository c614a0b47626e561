"""Studies as jobs: some cases at a time, each asked of the services, and the figures over those that are made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from server.analyses.content_id import digest, short
from server.analyses.service import Analyses
from server.errors import Interrupted, ModelError
from server.interventions.service import Interventions
from server.jobs.job import JobKind
from server.jobs.tasks import end_all
from server.measurements.service import Measurements
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import repository, studies
from server.store.database import Store
from server.store.leases import Taken
from server.store.tables import StudyRow
from server.studies.capitals import Capitals
from server.studies.case_run import CaseFailed, CaseRun, failed_case
from server.studies.declaration import CaseSpec, Declaration
from server.studies.documents import StoredStudy, load
from server.studies.job import StudyJob
from server.studies.languages import Languages
from server.studies.multiplication import Multiplication
from server.studies.prompts import Prompts
from server.studies.requests import CapitalsRequest, LanguagesRequest, MultiplicationRequest, Request
from server.studies.schema import Case

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

FORMAT = 2
"""Raised when the same case would come to something else; those of before are made again."""
SLOTS = 1
"""Studies at work at a time: each keeps as many analyses at work as the server takes."""
AHEAD = 1
"""Cases in flight besides those at work, so that the next begins at once, and no more: others ask too."""
REFRESH = 3.0
"""Seconds at least between two looks at the figures of a study at work."""
COST = 10
"""They are looked at again after so many times as long as the last look took."""


def declare(request: Request, settings: Settings) -> Declaration:
    """The study that is asked for. Raises BadInput."""
    if isinstance(request, MultiplicationRequest):
        return Multiplication(request)
    if isinstance(request, CapitalsRequest):
        return Capitals(request, settings.max_cases)
    if isinstance(request, LanguagesRequest):
        return Languages(request, settings.max_cases)
    return Prompts(request, settings.max_cases)


@dataclass
class _Run:
    """One run of a study."""

    job: StudyJob
    declaration: Declaration
    ids: Mapping[int, str]
    left: Iterator[CaseSpec]
    own: set[str]
    """Analyses at work that were begun for it."""
    failed: dict[int, str]
    due: float = 0.0
    """When the figures are looked at again."""


class StudyKind(JobKind[StoredStudy, StudyJob]):
    """The studies of this server as jobs of its scheduler, with slots of their own."""

    name = "study"
    plural = "studies"
    table = StudyRow
    holds_pair = False

    def __init__(
        self,
        analyses: Analyses,
        measurements: Measurements,
        interventions: Interventions,
        store: Store,
        models: ModelPool,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.slots, self.bound = SLOTS, settings.max_studies
        self.running, self.waiting = metrics.studies_running, metrics.studies_waiting
        self._cases = CaseRun(analyses, measurements, interventions, models)
        self._store = store
        self._models = models
        self._settings = settings

    def load(self, id: str, session: Session) -> StoredStudy:
        """Everything kept of a study."""
        found = load(id, session)
        assert found is not None, "a run of it begins"
        return found

    def job(self, stored: StoredStudy) -> StudyJob:
        """The job. Raises Unreadable."""
        return StudyJob(stored, self._store)

    def fail(self, stored: StoredStudy, error: str, session: Session) -> None:
        """Keep that a study of which no run can begin has failed."""
        values = {"status": "failed", "error": error, "finished": repository.now(), "leased_by": None}
        studies.change(stored.row.id, values, session)

    async def run(self, job: StudyJob, pair: LoadedPair | None) -> None:
        """Make the cases that are left, and the figures."""
        declaration = declare(job.request, self._settings)
        specs = await asyncio.to_thread(declaration.specs)
        async with self._models.acquire(job.pair) as resident:
            fingerprint, layer, versions = resident.fingerprint, resident.layer, dict(resident.versions)
        ids = {spec.number: case_id(job.pair, fingerprint, declaration, spec) for spec in specs}
        await job.begin(ids, layer, versions)
        left = iter([spec for spec in specs if spec.number not in job.cases])
        run = _Run(job, declaration, ids, left, own=set(), failed={})
        try:
            await self._all(run)
        except Interrupted:
            await asyncio.Event().wait()  # this server ends, and puts the job down
        except (asyncio.CancelledError, Taken) as reason:
            lost = job.lost or isinstance(reason, Taken)
            if job.cancelled or (lost and await self._ended_elsewhere(job)):
                await self._cases.stop(run.own)
            raise
        job.tell_figures(await asyncio.to_thread(declaration.figures, _in_order(job)))
        if run.failed:
            first = run.failed[min(run.failed)]
            raise ModelError(
                f"{len(run.failed)} of {len(specs)} cases could not be made. The first of them: {first} Ask for the "
                "study again, and it goes on with these."
            )
        await job.finish()

    async def _ended_elsewhere(self, job: StudyJob) -> bool:
        """Return whether another server has cancelled or deleted it, rather than taken it over."""
        row = await self._store.read(partial(studies.get, job.id))
        return row is None or row.status == "cancelled"

    async def _all(self, run: _Run) -> None:
        """Make all that is left, some at a time. Raises the first error of one that is more than its own."""
        count = self._settings.max_running + AHEAD
        tasks = [asyncio.create_task(self._some(run), name=f"cases-{run.job.id}") for _ in range(count)]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end_all(tasks)

    async def _some(self, run: _Run) -> None:
        for spec in run.left:
            if spec.request is None:
                await run.job.add(run.ids[spec.number], failed_case(spec, spec.error or ""))
                continue
            try:
                case = await self._cases.make(
                    run.declaration, spec, run.own, study=run.job.id, again=run.job.run > 1
                )
            except CaseFailed as error:
                run.failed[spec.number] = str(error)
                run.job.tell_case(failed_case(spec, str(error)))
                continue
            await run.job.add(run.ids[spec.number], case)
            await self._refresh(run)

    async def _refresh(self, run: _Run) -> None:
        """Look at the figures so far, from time to time."""
        began = time.monotonic()
        if began < run.due:
            return
        run.due = float("inf")  # no other task begins meanwhile
        run.job.tell_figures(await asyncio.to_thread(run.declaration.figures, _in_order(run.job)))
        run.due = time.monotonic() + max(REFRESH, COST * (time.monotonic() - began))


def _in_order(job: StudyJob) -> list[Case]:
    return [job.cases[number] for number in sorted(job.cases)]


def case_id(pair: str, fingerprint: str, declaration: Declaration, spec: CaseSpec) -> str:
    """The hash of what is asked of a case and of whom; the same in every study that asks it."""
    asked = None  # what was not asked for does not count: a wish that is new leaves the ids of before
    if spec.request is not None:
        asked = spec.request.model_dump(mode="json", exclude={"pair"}, exclude_defaults=True)
    return short(digest([FORMAT, pair, fingerprint, asked, declaration.identity(), spec.facts]))
