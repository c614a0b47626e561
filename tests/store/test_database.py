from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.errors import StoreError
from server.store import repository
from server.store.database import Store, connect, migrate
from server.store.tables import Base, ReadingRow
from tests.store.rows import analysis


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
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
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
