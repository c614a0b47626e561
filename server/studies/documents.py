"""Between what is kept of a study and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from server.errors import Unreadable
from server.jobs.event_log import EventLog
from server.jobs.progress import FINAL, Progress, Status
from server.schema import ResponseModel
from server.store import studies
from server.store.tables import StudyRow
from server.studies.requests import Request, StudyRequest
from server.studies.schema import Case, Figures, Study, StudyEnded, StudySummary, study_url

_REQUEST: TypeAdapter[Request] = TypeAdapter(StudyRequest)
NONE_YET = Figures(statistics={}, comparisons=0, notes=[])


class StudyResult(ResponseModel):
    """Parts of a study that are kept besides its cases. `seconds`: of the run that came to the end."""

    figures: Figures = Field(default=NONE_YET)
    layer: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class StoredStudy:
    """A study as it is kept: `cases` holds (case id, document) by number."""

    row: StudyRow
    cases: Mapping[int, tuple[str, str]] = field(default_factory=dict)


def load(id: str, session: Session) -> StoredStudy | None:
    """Everything kept of a study; None if there is none."""
    row = studies.get(id, session)
    return None if row is None else StoredStudy(row, studies.cases(id, session))


def request_of(row: StudyRow) -> Request:
    """Its request. Raises Unreadable."""
    with _readable(row.id):
        return _REQUEST.validate_json(row.inputs)


def cases_of(stored: StoredStudy) -> dict[int, Case]:
    """Its cases that are made, by number. Raises Unreadable."""
    with _readable(stored.row.id):
        return {number: Case.model_validate_json(text) for number, (_, text) in stored.cases.items()}


def result_of(row: StudyRow) -> StudyResult:
    """Its figures so far. Raises Unreadable."""
    with _readable(row.id):
        return StudyResult.model_validate_json(row.result) if row.result else StudyResult()


def progress_of(stored: StoredStudy) -> Progress:
    """The progress of one that no job of this server works on."""
    row, done = stored.row, len(stored.cases)
    stage, message = row.status, None
    if row.status not in FINAL:
        stage = "queued" if row.leased_by is not None else "waiting"
        message = "Another server works on this."
        if row.leased_by is None:
            message = f"This waits for a server that holds the pair {row.pair}."
    return Progress(
        stage=stage,
        done=done,
        total=row.cases,
        fraction=done / row.cases if row.cases else None,
        message=message,
    )


def stored_study(stored: StoredStudy) -> Study:
    """The document of one that no job of this server works on. Raises Unreadable."""
    row = stored.row
    status: Status = row.status  # type: ignore[assignment]
    found = request_of(row), cases_of(stored), result_of(row)
    return study_of(row, *found, status, row.error, progress_of(stored))


def study_of(
    row: StudyRow,
    request: Request,
    cases: Mapping[int, Case],
    result: StudyResult,
    status: Status,
    error: str | None,
    progress: Progress,
) -> Study:
    """The document."""
    return Study(
        id=row.id,
        url=study_url(row.id),
        kind=request.kind,
        title=row.title,
        status=status,
        error=error,
        request=request,
        pair=row.pair,
        layer=result.layer,
        progress=progress,
        statistics=result.figures.statistics,
        comparisons=result.figures.comparisons,
        notes=result.figures.notes,
        cases=[cases[number] for number in sorted(cases)],
        versions=result.versions,
        created=row.created,
        finished=row.finished,
        seconds=result.seconds,
    )


def summary_of(row: StudyRow) -> StudySummary:
    """One line of the list."""
    return StudySummary(
        id=row.id,
        url=study_url(row.id),
        kind=row.kind,  # type: ignore[arg-type]
        title=row.title,
        pair=row.pair,
        status=row.status,  # type: ignore[arg-type]
        cases=row.cases,
        created=row.created,
        finished=row.finished,
    )


def ended_of(study: Study) -> StudyEnded:
    """The last event of one that has ended."""
    return StudyEnded(id=study.id, url=study.url, status=study.status, error=study.error)


def log_of(stored: StoredStudy) -> EventLog:
    """The events of one that no job of this server works on. Raises Unreadable."""
    log, study = EventLog(max(stored.row.run_number, 1)), stored_study(stored)
    for case in study.cases:
        log.put("case", case, key=(case.number, 0))
    figures = result_of(stored.row).figures
    if figures.statistics:
        log.put("statistics", figures)
    if study.status in FINAL:
        log.put("progress", study.progress)
        log.put("done" if study.status == "done" else "failed", ended_of(study))
    return log


@contextmanager
def _readable(id: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise Unreadable(
            f"What is kept of the study {id} is damaged. Delete it, and ask for it again."
        ) from error
