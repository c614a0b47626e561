"""Between the words of the API and the rows of the store."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pydantic import TypeAdapter

from server.analyses.lens_table import LensTable
from server.analyses.readings import Kept
from server.analyses.schema import (
    READING_COLUMNS,
    Analysis,
    AnalysisRequest,
    AnalysisSummary,
    Baselines,
    Ended,
    EventKind,
    FoundEdit,
    Reading,
    ReadingDelta,
    Token,
    url_of,
)
from server.errors import Unreadable
from server.jobs.event_log import EventLog, Key, last_of
from server.jobs.progress import FINAL, Progress, Status
from server.store.repository import StoredAnalysis, Summary, now
from server.store.tables import AnalysisRow, InterventionRow, ReadingRow, TraceRow
from server.store.vectors import unpack

_log = logging.getLogger(__name__)
_TOKENS = TypeAdapter(list[Token])
_STATUS: TypeAdapter[Status] = TypeAdapter(Status)
TITLE_LENGTH = 80
EDITS = 5
"""Edits that a search names of one analysis."""


def new_row(
    analysis_id: str, address: str | None, fingerprint: str | None, request: AnalysisRequest
) -> AnalysisRow:
    """The row of an analysis that was asked for just now. `request` is normalised."""
    text = request.prompt_text
    return AnalysisRow(
        id=analysis_id,
        address=address,
        pair=request.pair,
        fingerprint=fingerprint,
        status="queued",
        request=request.model_dump_json(),
        title=title_of(request),
        search_text=text,
        created=now(),
        token_count=0,
        timings="{}",
        versions="{}",
        run_number=0,
        tokens_event=0,
        lens_event=0,
        tuned_event=0,
        end_event=0,
    )


def title_of(request: AnalysisRequest) -> str:
    """The first words of what the user typed, on one line."""
    typed = [m.content for m in request.messages or () if m.role == "user"]
    words = " ".join((typed[0] if typed else request.prompt_text).split())
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"


def request_of(row: AnalysisRow) -> AnalysisRequest:
    """The request of an analysis."""
    return AnalysisRequest.model_validate_json(row.request)


def pack_tokens(tokens: list[Token]) -> bytes:
    """Tokens for the store."""
    return zlib.compress(_TOKENS.dump_json(tokens), 1)


def unpack_tokens(blob: bytes | None) -> list[Token]:
    """The inverse of `pack_tokens`; none before there are any."""
    return [] if blob is None else _TOKENS.validate_json(zlib.decompress(blob))


def reading_of(row: ReadingRow) -> Reading:
    """A kept reading in the words of the API."""
    return Reading(**{name: getattr(row, name) for name in READING_COLUMNS})


def kept_of(rows: Iterable[ReadingRow]) -> dict[tuple[int, int], Kept]:
    """The readings that a later run need not make again. The rows carry their vectors."""
    return {
        (row.position, row.sample): Kept(row.text, unpack(row.vector)[0] if row.vector is not None else None)
        for row in rows
        if row.error is None
    }


def baselines_of(row: AnalysisRow) -> Baselines | None:
    """The baselines, once there are any."""
    return Baselines.model_validate_json(row.baselines) if row.baselines else None


@contextmanager
def readable(analysis_id: str) -> Iterator[None]:
    """Tell what is damaged, or of another version, from a mistake of this program. Raises Unreadable."""
    try:
        yield
    except Exception as error:  # damage raises whatever the decoder at that place raises
        _log.warning("the analysis %s cannot be read", analysis_id, exc_info=True)
        raise Unreadable(
            f"What is kept of the analysis {analysis_id} is damaged, or was written by another version "
            f"({type(error).__module__}.{type(error).__name__}). Analyse the prompt again, delete it, or "
            f"restore a backup."
        ) from error


def analysis_of(whole: StoredAnalysis, progress: Progress | None = None) -> Analysis:
    """A kept analysis as GET answers it. Raises Unreadable."""
    with readable(whole.row.id):
        return _analysis_of(whole, progress)


def _analysis_of(whole: StoredAnalysis, progress: Progress | None) -> Analysis:
    row = whole.row
    readings = [reading_of(reading) for reading in whole.readings]
    status = _STATUS.validate_python(row.status)
    if progress is None:
        done = sum(reading.scored for reading in readings)
        progress = Progress(stage=status, done=done, total=done if status == "done" else None)
    return Analysis(
        id=row.id,
        url=url_of(row.id),
        status=status,
        error=row.error,
        request=request_of(row),
        pair=row.pair,
        layer=row.layer,
        fve_variance=row.fve_variance,
        focus=row.focus,
        tokens=unpack_tokens(row.tokens),
        readings=readings,
        lens=LensTable.from_blob(whole.trace.lens) if whole.trace else None,
        tuned_lens=_tuned(whole.trace),
        baselines=baselines_of(row),
        progress=progress,
        timings=json.loads(row.timings),
        versions=json.loads(row.versions),
        created=row.created,
        finished=row.finished,
    )


def _tuned(trace: TraceRow | None) -> LensTable | None:
    kept = trace.tuned_lens if trace is not None else None
    return None if kept is None else LensTable.from_blob(kept)


def end_of(analysis: Analysis) -> Ended:
    """The last event of an analysis that has ended."""
    return Ended(
        id=analysis.id,
        url=analysis.url,
        status=analysis.status,
        error=analysis.error,
        baselines=analysis.baselines,
        timings=analysis.timings,
    )


def delta_of(key: Key, text: str) -> ReadingDelta:
    """The next bit of a reading that is being written."""
    position, sample = key
    return ReadingDelta(position=position, sample=sample, text=text)


def log_of(whole: StoredAnalysis, analysis: Analysis) -> EventLog:
    """The event log as it stood, with the ids that were given then; ended if the analysis has."""
    row = whole.row
    log = EventLog(row.run_number, delta_of)
    entries: list[tuple[int, EventKind, object, Key | None]] = []
    if analysis.tokens:
        entries.append((row.tokens_event, "tokens", analysis.tokens, None))
    if analysis.lens is not None:
        entries.append((row.lens_event, "lens", analysis.lens, None))
    if analysis.tuned_lens is not None:
        entries.append((row.tuned_event, "tuned_lens", analysis.tuned_lens, None))
    for kept, reading in zip(whole.readings, analysis.readings, strict=True):
        entries.append((kept.event, "reading", reading, (reading.position, reading.sample)))
    for event_id, kind, data, key in sorted(entries, key=lambda entry: entry[0]):
        log.put(kind, data, key=key, id=event_id)
    if analysis.status in FINAL:
        last: EventKind = "done" if analysis.status == "done" else "failed"
        log.put(last, end_of(analysis), id=row.end_event or last_of(row.run_number))
    return log


def found_edit_of(row: InterventionRow) -> FoundEdit:
    """A kept edit as a search names it."""
    result = json.loads(row.result)
    request = result["request"]
    return FoundEdit(
        id=row.id,
        url=f"{url_of(row.analysis_id)}?t={row.position}&edit={row.id}",
        position=row.position,
        text=request["text"] or result["vector"]["name"],
        targets=request["targets"],
    )


def summary_of(found: Summary, edits: Sequence[InterventionRow] = ()) -> AnalysisSummary:
    """One line of the library in the words of the API, with the first of the edits that a search has found."""
    return AnalysisSummary(
        id=found.id,
        url=url_of(found.id),
        title=found.title,
        pair=found.pair,
        status=_STATUS.validate_python(found.status),
        created=found.created,
        deleted=found.deleted,
        tokens=found.tokens,
        readings=found.readings,
        edits=[found_edit_of(row) for row in edits[:EDITS]],
        study=found.study_id,
    )
