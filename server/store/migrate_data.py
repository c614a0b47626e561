"""Everything in one database copied into another, of whichever kind: how a library moves to PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Engine, func, insert, select

from server.errors import StoreError
from server.store.database import migrate
from server.store.tables import (
    AnalysisRow,
    CausalScoreRow,
    InterventionRow,
    MeasurementRow,
    ReadingRow,
    StudyCaseRow,
    StudyRow,
    TraceRow,
    VectorReadingRow,
    VectorRow,
)

TABLES = (
    *(AnalysisRow, TraceRow, ReadingRow, InterventionRow, MeasurementRow, CausalScoreRow),
    *(StudyRow, StudyCaseRow, VectorRow, VectorReadingRow),
)
"""What is copied; whatever a row refers to comes before it."""
PART = 100
"""Rows in memory at a time: a trace may have megabytes."""


def copy(source: Engine, target: Engine) -> int:
    """Copy all analyses and studies; returns how many analyses. Both are migrated first; the passages for the search
    follow by themselves.

    Raises StoreError if there are analyses in the target already. A copy that fails leaves nothing there.
    """
    migrate(source)
    migrate(target)
    with source.connect() as here, target.begin() as there:
        if there.scalar(select(func.count()).select_from(AnalysisRow)):
            raise StoreError(f"There are analyses in {target.url!r} already: copy into an empty database.")
        count = here.scalar(select(func.count()).select_from(AnalysisRow)) or 0
        for row in TABLES:
            query = select(row.__table__)
            if row is AnalysisRow:  # what others are the same as comes before them
                query = query.order_by(AnalysisRow.alias_of.is_not(None))
            for part in here.execution_options(yield_per=PART).execute(query).mappings().partitions():
                there.execute(insert(row), [dict(found) for found in part])
    return count
