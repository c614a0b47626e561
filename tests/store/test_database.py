from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.errors import StoreError
from server.store import repository
from server.store.database import MIGRATIONS, Store, connect, migrate
from server.store.tables import Base, ReadingRow
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
async def store(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'deep' / 'down' / 'a.db'}")
    await store.open()
    yield store
    await store.close()


def pragma(name: str, session: Session) -> object:
    return session.execute(text(f"PRAGMA {name}")).scalar()


@pytest.mark.anyio
async def test_sqlite_is_set_up_for_one_writer_and_many_readers(store: Store) -> None:
    assert await store.read(partial(pragma, "journal_mode")) == "wal"
    assert await store.read(partial(pragma, "synchronous")) == 1
    assert await store.read(partial(pragma, "foreign_keys")) == 1


def test_the_migrations_arrive_at_the_tables(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(engine)
    ours = {"include_name": lambda name, kind, _: kind != "table" or not name.startswith("passage_words")}
    with engine.connect() as connection:  # FTS5 keeps its index in tables of its own
        assert compare_metadata(MigrationContext.configure(connection, opts=ours), Base.metadata) == []
    engine.dispose()


def test_what_an_older_version_has_written_is_found(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(engine)
    downgrade(engine, "0001")
    with engine.begin() as connection:
        row = {**OLD, "created": "2026-11-21 00:00:00.000000"}
        names = ", ".join(row)
        connection.execute(text(f"INSERT INTO analysis ({names}) VALUES (:{', :'.join(row)})"), row)
        connection.execute(
            text(
                "INSERT INTO reading VALUES ('old', 0, 0, 'ÉTUDES', 0, 1, NULL, NULL, NULL, NULL, NULL, 1, NULL)"
            )
        )
    migrate(engine)
    with Session(engine) as session:
        assert [found.id for found in repository.recent(9, "zürich études", session)] == ["old"]
    engine.dispose()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, engine: Engine) -> None:
    migrate(engine)
    downgrade(engine, "0001")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE passage_words (blocks INTEGER)"))
    with pytest.raises(StoreError, match="passage_words already exists"):
        migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE passage_words"))
    migrate(engine)
    engine.dispose()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'a.db'}")
    migrate(engine)
    migrate(engine)
    engine.dispose()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return connect(f"sqlite:///{tmp_path / 'a.db'}")


def test_a_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"version 9999, which this program does not know\. Update"):
        migrate(engine)
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, engine: Engine) -> None:
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
