from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from server.errors import StoreError
from server.store import attached
from server.store.backup import backup, restore
from server.store.database import connect, migrate
from server.store.repository import recent
from server.store.tables import InterventionRow
from tests.store.rows import analysis, intervention


def titles(database: Path) -> list[str]:
    engine = connect(f"sqlite:///{database}")
    with Session(engine) as session:
        found = [summary.title for summary in recent(10, None, session)]
    engine.dispose()
    return found


def write(database: Path, *ids: str) -> None:
    engine = connect(f"sqlite:///{database}")
    migrate(engine)
    with Session(engine) as session, session.begin():
        session.add_all([analysis(id) for id in ids])
    engine.dispose()


def test_a_backup_restores_what_was_there(tmp_path: Path) -> None:
    database, file = tmp_path / "a.db", tmp_path / "backup"
    write(database, "cats")
    backup(database, file)
    write(database, "dogs")
    restore(file, database)
    assert titles(database) == ["cats"]


def test_a_backup_holds_the_interventions(tmp_path: Path) -> None:
    database, file = tmp_path / "a.db", tmp_path / "backup"
    write(database, "cats")
    engine = connect(f"sqlite:///{database}")
    with Session(engine) as session, session.begin():
        session.add(intervention("edit", "cats"))
    engine.dispose()
    backup(database, file)
    database.unlink()
    restore(file, database)
    engine = connect(f"sqlite:///{database}")
    with Session(engine) as session:
        assert attached.made(InterventionRow, "cats", session) == ["result of edit"]
    engine.dispose()


def test_a_backup_is_whole_while_a_server_writes(tmp_path: Path) -> None:
    database, file = tmp_path / "a.db", tmp_path / "backup"
    write(database, "cats")
    with closing(sqlite3.connect(database, isolation_level=None)) as server:
        server.execute("BEGIN IMMEDIATE")
        server.execute("UPDATE analysis SET title = 'unfinished'")
        backup(database, file)
        server.execute("ROLLBACK")
    assert titles(file) == ["cats"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("backup.")] == []


def test_restoring_into_an_empty_place(tmp_path: Path) -> None:
    write(tmp_path / "a.db", "cats")
    backup(tmp_path / "a.db", tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "new" / "a.db")
    assert titles(tmp_path / "new" / "a.db") == ["cats"]


def test_there_must_be_something_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing has been analysed there yet"):
        backup(tmp_path / "a.db", tmp_path / "backup")


def foreign(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE holiday (photo)")


def broken(file: Path) -> None:
    file.write_bytes(b"a holiday photo" * 1000)


@pytest.mark.parametrize(
    ("make", "message"),
    [(foreign, "not one of nla-explorer"), (broken, "not a backup"), (None, "There is no file")],
)
def test_what_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path, make: object, message: str) -> None:
    database, file = tmp_path / "a.db", tmp_path / "file"
    write(database, "cats")
    if callable(make):
        make(file)
    with pytest.raises(StoreError, match=message):
        restore(file, database)
    assert titles(database) == ["cats"]
