from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.errors import StoreError, StoreUnavailable
from server.store import attached, database, kept_vectors, repository
from server.store.database import MIGRATIONS, Store, connect, migrate
from server.store.search import edits_with
from server.store.tables import AnalysisRow, Base, InterventionRow, ReadingRow, VectorReadingRow
from tests.store.rows import analysis

OLD = {
    "id": "old",
    "pair": "fake",
    "status": "done",
    "request": "{}",
    "title": "old",
    "words": "Zürich",
    "token_count": 0,
    "timings": "{}",
    "versions": "{}",
    "runs": 0,
    "tokens_event": 0,
    "lens_event": 0,
    "end_event": 0,
}


def downgrade(engine: Engine, revision: str) -> None:
    """Back to an older version's tables."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


@pytest.fixture
async def store(database_url: str, anyio_backend: str) -> AsyncIterator[Store]:
    store = Store(database_url)
    await store.open()
    yield store
    await store.close()


def pragma(name: str, session: Session) -> object:
    return session.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.anyio
async def test_sqlite_is_set_up_for_one_writer_and_many_readers(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    await store.open()
    assert await store.read(partial(pragma, "journal_mode")) == "wal"
    assert await store.read(partial(pragma, "synchronous")) == 1
    assert await store.read(partial(pragma, "foreign_keys")) == 1
    await store.close()


def test_the_migrations_arrive_at_the_tables(engine: Engine) -> None:
    migrate(engine)
    indices = ("passage_words", "passage_trigrams")  # the search's: each database has its own kind
    ours = {"include_name": lambda name, kind, _: name is None or not name.startswith(indices)}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=ours), Base.metadata) == []


def test_what_an_older_version_has_written_is_found(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0001")
    with engine.begin() as connection:
        row = {**OLD, "created": "2026-11-21 00:00:00.000000"}
        names = ", ".join(row)
        connection.execute(text(f"INSERT INTO analysis ({names}) VALUES (:{', :'.join(row)})"), row)
        connection.execute(
            text(
                "INSERT INTO reading VALUES ('old', 0, 0, 'ÉTUDES', false, 1, NULL, NULL, NULL, NULL, NULL, 1, NULL)"
            )
        )
    migrate(engine)
    with Session(engine) as session:
        assert [found.id for found in repository.recent(9, "zürich études", session)] == ["old"]


REVISIONS = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
RENAMED = {"search_text": "words", "run_number": "runs", "alias_of": "same_as", "text_id": "kin"}
"""Columns of `analysis` that had other names before 0010."""


VECTOR = {
    "id": "v",
    "pair": "fake",
    "layer": 1,
    "d_model": 8,
    "name": "mine",
    "norm": 1.0,
    "sources": "[]",
    "data": b"v",
}


def insert(table: str, row: dict[str, Any], connection: Connection) -> None:
    """A row as an older version wrote it: of the columns that its table had."""
    there = {column["name"] for column in inspect(connection).get_columns(table)}
    if table == "analysis" and "words" in there:
        row = {RENAMED.get(name, name): value for name, value in row.items()}
    row = {name: value for name, value in row.items() if name in there}
    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES (:{', :'.join(row)})"), row)


@pytest.mark.parametrize("revision", REVISIONS)
def test_nothing_is_lost_from_any_earlier_version(engine: Engine, revision: str) -> None:
    migrate(engine)
    downgrade(engine, revision)
    moment = "2026-11-21 00:00:00.000000"
    ours = {
        **analysis("old").__dict__,
        "search_text": "Zürich",
        "text_id": "t",
        "tuned_event": 0,
        "created": moment,
    }
    del ours["_sa_instance_state"]
    answer = json.dumps({"request": {"text": "un château", "targets": []}})
    kept = {"text": "études", "truncated": False, "tokens": 1, "cos": 0.5, "rank": 2, "event": 1}
    edit = {"id": "edit", "position": 3, "created": moment, "result": answer, "search_text": "un château"}
    with engine.begin() as connection:
        insert("analysis", ours, connection)
        insert("analysis", {**ours, "id": "alias", "address": None, "alias_of": "old"}, connection)
        insert("trace", {"analysis_id": "old", "lens": b"lens", "activations": b"h"}, connection)
        insert("reading", {"analysis_id": "old", "position": 0, "sample": 0, **kept}, connection)
        if inspect(connection).has_table("intervention"):
            insert("intervention", {"analysis_id": "old", **edit}, connection)
        if inspect(connection).has_table("vectors"):
            insert("vectors", VECTOR | {"created": moment}, connection)
            reading = {"id": "r", "vector_id": "v", "created": moment, "result": "{}"}
            insert("vector_reading", reading, connection)
    migrate(engine)
    with Session(engine) as session:
        for query in ("zürich", "études"):
            assert [found.id for found in repository.recent(9, query, session)] == ["old"]
        whole = repository.whole("alias", session, vectors=True)
        assert whole is not None and whole.trace is not None
        assert (whole.row.search_text, whole.trace.lens, whole.trace.activations) == ("Zürich", b"lens", b"h")
        assert [(r.text, r.cos, r.rank) for r in whole.readings] == [("études", 0.5, 2)]
        if revision >= "0005":
            assert [row.id for row in repository.same_text("t", session)] == ["old"]
        if revision >= "0013":
            assert [(row.id, row.name) for row in kept_vectors.listed(9, session)] == [("v", "mine")]
            assert attached.made(VectorReadingRow, "v", session) == ["{}"]
        if revision >= "0007":
            assert attached.made(InterventionRow, "old", session) == [answer]
            assert [found.id for found in edits_with("château", ["old"], session)] == ["edit"]


def test_the_tuned_lens_of_an_older_version_keeps_the_id_of_its_event(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0005")
    with engine.begin() as connection:
        row = {**OLD, "lens_event": 7, "created": "2026-11-21 00:00:00.000000"}
        names = ", ".join(row)
        connection.execute(text(f"INSERT INTO analysis ({names}) VALUES (:{', :'.join(row)})"), row)
    migrate(engine)
    with Session(engine) as session:
        assert session.scalar(select(AnalysisRow.tuned_event)) == 8


def test_edits_of_an_older_version_are_found(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0007")
    with engine.begin() as connection:
        row = {**OLD, "tuned_event": 0, "created": "2026-11-21 00:00:00.000000"}
        names = ", ".join(row)
        connection.execute(text(f"INSERT INTO analysis ({names}) VALUES (:{', :'.join(row)})"), row)
        answer = json.dumps({"request": {"text": "Le CHÂTEAU\0 \\ here", "targets": [" Madrid"]}})
        for id, result in (("edit", answer), ("damaged", "{")):
            connection.execute(
                text(
                    "INSERT INTO intervention VALUES (:id, 'old', 3, '2026-11-21 00:00:00.000000', :result)"
                ),
                {"id": id, "result": result},
            )
    migrate(engine)
    with Session(engine) as session:
        for query in ("château", "madrid", "\\ here", "zürich château"):
            assert [found.id for found in repository.recent(9, query, session)] == ["old"]
            assert [found.id for found in edits_with(query, ["old"], session)] == ["edit"]


def test_a_migration_that_fails_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0001")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE passage (blocks INTEGER)"))
    with pytest.raises(StoreError, match=r'passage"? already exists'):
        migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE passage"))
    migrate(engine)


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    migrate(engine)


def test_two_servers_that_start_at_once_migrate_once(engine: Engine) -> None:
    with ThreadPoolExecutor(2) as servers:
        list(servers.map(migrate, [engine, engine]))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(StoreError, match="NLA_DATABASE_URL is not an address"):
        connect("my database")
    with pytest.raises(StoreError, match="a kind of database that is not known: cardfile"):
        connect("cardfile://here/a")


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'nla-explorer\[postgres\]'"):
        connect("postgresql://me@127.0.0.1/a")


def test_a_database_that_does_not_answer_is_refused_without_its_password() -> None:
    pytest.importorskip("psycopg")
    engine = connect("postgresql://me:secret@127.0.0.1:1/a")
    with pytest.raises(StoreError, match="Is NLA_DATABASE_URL right") as refused:
        migrate(engine)
    assert "secret" not in str(refused.value)


def test_a_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"version 9999, which this program does not know\. Update"):
        migrate(engine)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'a.db'}")
    (tmp_path / "a.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="nla-explorer restore FILE"):
        migrate(engine)
    engine.dispose()


@pytest.mark.anyio
async def test_a_write_that_fails_leaves_nothing_behind(store: Store) -> None:
    def torn(session: Session) -> None:
        session.add(analysis("a"))
        session.flush()
        session.add(ReadingRow(analysis_id="nobody", position=0, sample=0, text=""))
        session.flush()

    with pytest.raises(IntegrityError):
        await store.write(torn)
    assert await store.read(partial(repository.get, "a")) is None


@pytest.mark.anyio
async def test_a_write_whose_caller_is_cancelled_is_whole(store: Store) -> None:
    begun, let = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        repository.add(analysis("a"), session)
        begun.set()
        let.wait()

    writing = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(begun.wait)
    writing.cancel()
    let.set()
    await asyncio.gather(writing, return_exceptions=True)
    await store.write(lambda session: None)  # the one writer has come to the next job
    assert await store.read(partial(repository.get, "a")) is not None


@pytest.mark.anyio
async def test_readers_do_not_wait_for_the_writer(store: Store) -> None:
    begun, let = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        repository.add(analysis("a"), session)
        session.flush()
        begun.set()
        let.wait()

    writing = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(begun.wait)
    assert await store.read(partial(repository.get, "a")) is None
    let.set()
    await writing
    assert await store.read(partial(repository.get, "a")) is not None


@pytest.mark.anyio
async def test_a_full_disk_is_told_from_a_mistake_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "FIRST_RETRY", 0.01)
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    await store.open()
    pages = 1  # no fewer than there are

    def bound(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}").close()

    event.listen(store.engine, "checkout", bound)
    row = analysis("long")
    row.title = "x" * 100_000
    with pytest.raises(StoreUnavailable, match="database or disk is full"):
        await store.write(partial(repository.add, row))
    assert await store.read(partial(repository.get, "long")) is None

    def freed(error: StoreUnavailable) -> None:
        nonlocal pages
        assert "disk is full" in error.detail
        pages = 2**30

    again = analysis("long")
    again.title = "x" * 100_000
    await store.write_until_kept(partial(repository.add, again), freed)
    assert await store.read(partial(repository.get, "long")) is not None
    with pytest.raises(IntegrityError):  # a mistake stays one
        await store.write(partial(repository.add, analysis("long")))
    await store.close()


@pytest.mark.anyio
async def test_a_file_that_is_damaged_meanwhile_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    store = Store(f"sqlite:///{file}")
    await store.open()
    await store.write(partial(repository.add, analysis("a")))
    store.engine.dispose()  # the last connection writes the log back into the file
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"x" * (file.stat().st_size - 4096))
    with pytest.raises(StoreUnavailable, match="malformed"):
        await store.read(partial(repository.get, "a"))
    await store.close()


def test_how_long_a_reading_usually_is(session: Session) -> None:
    assert repository.typical_length("fake", session) is None
    session.add(analysis("a"))
    session.flush()
    for position, words in enumerate(["four", "sixsix"]):
        session.add(
            ReadingRow(
                analysis_id="a", position=position, sample=0, text=words, truncated=False, tokens=1, event=1
            )
        )
    session.flush()
    assert repository.typical_length("fake", session) == 5
