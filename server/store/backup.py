"""Backup and restore of the SQLite database, the backup also while a server writes to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from server.errors import StoreError


def backup(database: Path, file: Path) -> None:
    """Copy the database to `file`, as it is at one moment. Raises StoreError if there is none."""
    if not database.is_file():
        raise StoreError(f"There is no database at {database}: nothing has been analysed there yet.")
    copy = file.with_name(file.name + ".part")
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as source:
        _copy(source, copy)
    copy.replace(file)


def restore(file: Path, database: Path) -> None:
    """Replace the database by the backup `file`. The caller holds the data directory's lock.

    Raises StoreError if the file is not a whole backup; then nothing has been changed.
    """
    if not file.is_file():
        raise StoreError(f"There is no file {file}.")
    copy = database.with_name(database.name + ".part")
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source:
            _check(source, file)
            _copy(source, copy)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{file} is not a backup of nla-explorer: {error}.") from error
    for leftover in ("-wal", "-shm"):  # they belong to the database that goes
        database.with_name(database.name + leftover).unlink(missing_ok=True)
    copy.replace(database)


def _check(source: sqlite3.Connection, file: Path) -> None:
    (state,) = source.execute("PRAGMA integrity_check").fetchone()
    if state != "ok":
        raise StoreError(f"{file} is damaged: {state}.")
    tables = {name for (name,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"alembic_version", "analysis", "reading"} <= tables:
        raise StoreError(f"{file} is a database, but not one of nla-explorer.")


def _copy(source: sqlite3.Connection, file: Path) -> None:
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, whole by itself
