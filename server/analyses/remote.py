"""An analysis that another server works on, as far as the store tells of it."""

from __future__ import annotations

from server.analyses import row_mapping
from server.analyses.schema import Ended, url_of
from server.jobs.event_log import Event
from server.jobs.progress import FINAL, Progress, Status
from server.store.repository import StoredAnalysis


def progress_of(whole: StoredAnalysis) -> Progress | None:
    """Progress of an analysis as the store tells of it; None for one that has ended."""
    row = whole.row
    if row.status in FINAL:
        return None
    done = sum(row_mapping.reading_of(reading).scored for reading in whole.readings)
    if row.leased_by is None:
        message = f"This waits for a server that holds the pair {row.pair}."
        return Progress(stage="waiting", done=done, message=message)
    stage = "queued" if row.status == "queued" else "readings" if whole.trace is not None else "lens"
    return Progress(stage=stage, done=done, message="Another server works on this.")


def lost(analysis_id: str, cursor: int, error: str | None) -> Event:
    """The last that a watcher is told of an analysis that somebody has deleted, or that cannot be read."""
    status: Status = "cancelled" if error is None else "failed"
    end = Ended(id=analysis_id, url=url_of(analysis_id), status=status, error=error)
    return Event(cursor + 1, "failed", end)
