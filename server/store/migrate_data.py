"""Everything in one database copied into another, of whichever kind: how a library moves to PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Engine, func, insert, select

from server.errors import StoreError
from server.store.database import migrate
from server.store.tables import AnalysisRow, Base, PassageRow

PART = 100
"""Rows in memory at a time: a trace may have megabytes."""


def copy(source: Engine, target: Engine) -> int:
    """Copy everything; returns how many analyses. Both are migrated first; the passages for the search follow by
    themselves.

    Raises StoreError if there is anything in the target already. A copy that fails leaves nothing there.
    """
    tables = [table for table in Base.metadata.sorted_tables if table is not PassageRow.__table__]
    migrate(source)
    migrate(target)
    with source.connect() as here, target.begin() as there:
        for table in tables:
            if there.scalar(select(func.count()).select_from(table)):
                raise StoreError(
                    f"{target.url!r} holds data already ({table.name}): copy into an empty database."
                )
        count = here.scalar(select(func.count()).select_from(AnalysisRow)) or 0
        for table in tables:
            query = select(table)
            if table is AnalysisRow.__table__:  # what others are the same as comes before them
                query = query.order_by(AnalysisRow.alias_of.is_not(None))
            for part in here.execution_options(yield_per=PART).execute(query).mappings().partitions():
                there.execute(insert(table), [dict(found) for found in part])
    return count
