"""An analysis that another server works on, as far as the store tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from server.analyses import row_mapping
from server.analyses.schema import FINAL, Ended, Event, Progress, url_of
from server.store.repository import StoredAnalysis

POLL = 1.0
"""Seconds between two looks at the store."""


@dataclass(frozen=True)
class RemoteState:
    """How it stood at the last look. `change_token` changes with whatever is kept of it."""

    progress: Progress
    change_token: object


def progress_of(whole: StoredAnalysis) -> Progress | None:
    """How far it is; None for an analysis that has ended."""
    row = whole.row
    if row.status in FINAL:
        return None
    done = sum(row_mapping.reading_of(reading).scored for reading in whole.readings)
    if row.owner is None:
        message = f"This waits for a server that holds the pair {row.pair}."
        return Progress(stage="waiting", done=done, message=message)
    stage = "queued" if row.status == "queued" else "readings" if whole.trace is not None else "lens"
    return Progress(stage=stage, done=done, message="Another server works on this.")


def unreadable(analysis_id: str, cursor: int, error: str) -> Event:
    """The last that a watcher is told of an analysis of which what is kept cannot be read."""
    end = Ended(id=analysis_id, url=url_of(analysis_id), status="failed", error=error)
    return Event(cursor + 1, "failed", end)


def deleted(analysis_id: str, cursor: int) -> Event:
    """The last that a watcher is told of an analysis which somebody has deleted elsewhere."""
    end = Ended(id=analysis_id, url=url_of(analysis_id), status="cancelled")
    return Event(cursor + 1, "failed", end)
