"""The job of a study: its cases as they are made, kept and told, and the figures over them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from server.errors import StoreUnavailable
from server.jobs.event_log import EventLog
from server.jobs.job import Job
from server.jobs.progress import Progress, Status
from server.store import leases, repository, studies
from server.store.database import Store
from server.store.tables import StudyRow
from server.studies.documents import (
    StoredStudy,
    cases_of,
    ended_of,
    request_of,
    result_of,
    study_of,
)
from server.studies.schema import Case, Figures, Study


class StudyJob(Job):
    """The live state of one study. Its events: progress, case, statistics, then done or failed."""

    kind = "study"

    def __init__(self, stored: StoredStudy, store: Store) -> None:
        row = stored.row
        super().__init__(row.id, row.pair, row.run_number, EventLog(row.run_number))
        self.request = request_of(row)
        self.cases = cases_of(stored)
        self.progress = Progress(stage="queued")
        self._row = row
        self._kept = {number: id for number, (id, _) in stored.cases.items()}
        self._result = result_of(row)
        self._status: Status = "queued"
        self._error: str | None = None
        self._store = store
        self._began = time.monotonic()
        self._at_first = 0
        self._end: Callable[[Session], None] | None = None

    @property
    def stage(self) -> str:
        """The stage of its progress."""
        return self.progress.stage

    def view(self) -> Study:
        """The study as it stands now."""
        found = self._row, self.request, self.cases, self._result
        return study_of(*found, self._status, self._error, self.progress)

    def tell_progress(self, stage: str, *, ahead: int | None = None, message: str | None = None) -> None:
        """Tell watchers how far it is."""
        done, total, seconds_left = len(self.cases), self._row.cases, None
        new = done - self._at_first
        if stage == "cases" and new > 0:
            seconds_left = round((time.monotonic() - self._began) / new * (total - done), 1)
        self.progress = Progress(
            stage=stage,
            done=done,
            total=total,
            fraction=done / total if total else None,
            seconds_left=seconds_left,
            ahead=ahead,
            message=message,
        )
        self.log.put("progress", self.progress)

    async def begin(self, ids: Mapping[int, str], layer: int, versions: Mapping[str, str]) -> None:
        """Begin with the cases of these ids (by number) that are kept, of this study or of any other. Raises Taken when
        the run is over.
        """
        missing = [id for number, id in ids.items() if self._kept.get(number) != id]
        known = await self._store.read(partial(studies.known, missing))
        taken = {
            number: Case.model_validate_json(known[id]).model_copy(update={"number": number})
            for number, id in ids.items()
            if id in known
        }
        self.cases = {n: case for n, case in self.cases.items() if self._kept[n] == ids.get(n)} | taken
        self._status = "running"
        self._result = self._result.model_copy(update={"layer": layer, "versions": dict(versions)})
        await self._keep([(ids[number], case) for number, case in taken.items()], {"status": "running"})
        for number in sorted(self.cases):
            self.log.put("case", self.cases[number], key=(number, 0))
        self._at_first, self._began = len(self.cases), time.monotonic()
        self.tell_progress("cases")

    async def add(self, id: str, case: Case) -> None:
        """Keep a case, then tell it. Raises Taken when the run is over."""
        await self._keep([(id, case)], {})
        self.tell_case(case)

    def tell_case(self, case: Case) -> None:
        """Tell a case, without keeping it."""
        self.cases[case.number] = case
        self.log.put("case", case, key=(case.number, 0))
        self.tell_progress("cases")

    def tell_figures(self, figures: Figures) -> None:
        """Tell the figures over the cases so far."""
        self._result = self._result.model_copy(update={"figures": figures})
        self.log.put("statistics", figures)

    async def finish(self) -> None:
        """Keep the end as soon as the store takes it, and tell it. Raises Taken when the run is over."""
        seconds = round(time.monotonic() - self._began, 3)
        self._result = self._result.model_copy(update={"seconds": seconds})
        self._set_end("done", None)
        await self.keep_end()
        self._tell_end("done")

    async def break_off(self, status: str, error: str | None) -> None:
        """Keep and tell that it failed or was cancelled; what is finished stays. Raises StoreUnavailable when it is
        told but not kept, and Taken when the run is over.
        """
        told: Status = "cancelled" if status == "cancelled" else "failed"
        end = self._set_end(told, error)
        unavailable: StoreUnavailable | None = None
        try:
            await self._store.write(end)
        except StoreUnavailable as reason:
            unavailable = reason
        self._tell_end("failed")
        if unavailable is not None:
            raise unavailable

    async def keep_end(self) -> None:
        """Keep the end as soon as the store takes it. Raises Taken when the run is over."""
        assert self._end is not None, "it has ended"
        await self._store.write_until_kept(self._end, self._unavailable)

    def _set_end(self, status: Status, error: str | None) -> Callable[[Session], None]:
        self._status, self._error = status, error
        self._row.finished = repository.now()
        values = {
            "status": status,
            "error": error,
            "finished": self._row.finished,
            "leased_by": None,
            "result": self._result.model_dump_json(ensure_ascii=True),
        }
        self._end = self._fenced(partial(studies.change, self.id, values))
        return self._end

    def _tell_end(self, kind: str) -> None:
        self.tell_progress(self._status)
        self.log.put(kind, ended_of(self.view()))

    async def _keep(self, cases: Sequence[tuple[str, Case]], values: Mapping[str, Any]) -> None:
        rows = [
            {
                "study_id": self.id,
                "number": case.number,
                "case_id": id,
                "document": case.model_dump_json(ensure_ascii=True),
            }
            for id, case in cases
        ]

        def work(session: Session) -> None:
            studies.keep_cases(rows, session)
            if values:
                studies.change(self.id, values, session)

        await self._store.write_until_kept(self._fenced(work), self._unavailable)

    def _unavailable(self, error: StoreUnavailable) -> None:
        if not self.log.closed:
            self.tell_progress(self.stage, message=error.detail)

    def _fenced(self, work: Callable[[Session], None]) -> Callable[[Session], None]:
        def fenced(session: Session) -> None:
            leases.fence(StudyRow, self.id, self.run, session)
            work(session)

        return fenced
