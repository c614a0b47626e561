"""The database: one writer thread, many readers, migrated at start.

SQLite runs with a write-ahead log and synchronous=NORMAL: a commit survives the death of the process at once
(`kill -9`), and of the machine from the next checkpoint on; the log is never torn. A reading lost with the
machine's power is computed again when the analysis resumes, which is cheaper than a disk flush for each of
them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from server.errors import StoreError, StoreUnavailable
from server.store.backup import restore
from server.store.lock import prepare

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT = 10.0
"""Seconds that SQLite waits for another writer."""
FIRST_RETRY, LAST_RETRY = 0.25, 15.0
"""Seconds before a write is tried again: twice as long after each failure, up to the last."""
_log = logging.getLogger(__name__)


def connect(url: str) -> Engine:
    """An engine for the address. For SQLite the folder is made, and every connection set up for one writer
    and many readers.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            "NLA_DATABASE_URL is not an address like postgresql://user:password@host/database."
        ) from error
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database:
        prepare(Path(parsed.database).parent)
    try:
        engine = create_engine(parsed, pool_pre_ping=not sqlite)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"The driver for {parsed.get_backend_name()} is not installed ({error}). "
            "For PostgreSQL: pip install 'nla-explorer[postgres]'."
        ) from error
    except NoSuchModuleError as error:
        raise StoreError(
            f"NLA_DATABASE_URL names a kind of database that is not known: {parsed.drivername}. "
            "It begins with postgresql:// or sqlite:///."
        ) from error
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT * 1000:.0f}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's own lower() knows ASCII alone; searches are to find Zürich as ZÜRICH.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: object) -> str | None:
    return None if text is None else str(text).lower()


def migrate(engine: Engine) -> None:
    """Bring the tables up to date. Raises StoreError for a database that a newer version has written, or that
    is damaged.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    sqlite = engine.dialect.name == "sqlite"
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    try:
        with engine.begin() as connection:
            if sqlite:  # its driver begins no transaction before it alters a table
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:  # of two servers that start, one waits for the other
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('migrate', 0))")
            current = MigrationContext.configure(connection).get_current_heads()
            if unknown := set(current) - known:
                raise StoreError(
                    f"{engine.url!r} is at version {', '.join(sorted(unknown))}, which this program "
                    "does not know. Update nla-explorer, or choose another --data-dir."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DatabaseError as error:
        cure = (
            "Restore a backup with `nla-explorer restore FILE`, or choose another --data-dir."
            if sqlite
            else "Is NLA_DATABASE_URL right, and may its user make tables there?"
        )
        raise StoreError(f"{engine.url!r} cannot be used as a database: {error.orig}. {cure}") from error


async def until_available(call: Callable[[], Awaitable[T]], failed: Callable[[StoreUnavailable], None]) -> T:
    """Await `call()`, again and again until it does not raise StoreUnavailable. `failed` is called after each
    try that did.
    """
    delay = FIRST_RETRY
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            failed(error)
        await asyncio.sleep(delay)
        delay = min(2 * delay, LAST_RETRY)


@contextmanager
def _availability() -> Iterator[None]:
    """Tell a database that cannot be used at the moment from a mistake in what is asked of it."""
    try:
        yield
    except DBAPIError as error:
        # A damaged file is a plain DatabaseError; what is wrong with a statement is one of its other kinds.
        if not isinstance(error, OperationalError | InterfaceError) and type(error) is not DatabaseError:
            raise
        raise StoreUnavailable(
            f"The database cannot be used at the moment ({error.orig}). Is its disk full or read-only, its "
            f"file damaged, "
            "or does another program hold it? What is unfinished goes on by itself; try again in a while."
        ) from error


class Store:
    """The database for async callers: `write` runs in the one writer thread, one transaction each, `read` in
    any of a few. `beginning` is a backup that a new SQLite database starts as.
    """

    def __init__(self, url: str, beginning: Path | None = None) -> None:
        self.engine = connect(url)
        self._beginning = beginning
        self._sqlite = self.engine.dialect.name == "sqlite"
        self.shared = not self._sqlite
        """True if several servers may work with it at a time."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-reader")

    async def open(self) -> None:
        """Migrate. Call before anything else."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._open)

    def _open(self) -> None:
        file = self.engine.url.database
        if self._beginning is not None and self._sqlite and file and not Path(file).exists():
            restore(self._beginning, Path(file))
        migrate(self.engine)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction; it is committed when this returns. A cancelled caller does not tear it. Raises
        StoreUnavailable when nothing was written and a later try may succeed.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer, self._write, work))

    async def write_until_kept(
        self, work: Callable[[Session], T], failed: Callable[[StoreUnavailable], None]
    ) -> T:
        """`write`, tried again until the database takes it: for results that must not be lost. `failed` is
        called after each try that did not succeed; cancel the caller to give up.
        """
        return await until_available(partial(self.write, work), failed)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a consistent view of the database. Rows stay usable after the session. Raises
        StoreUnavailable when a later try may succeed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _write(self, work: Callable[[Session], T]) -> T:
        with _availability(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            if self._sqlite:  # another process may write too: wait for it now, not half-way
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            return work(session)

    def _read(self, work: Callable[[Session], T]) -> T:
        with _availability(), Session(self.engine, expire_on_commit=False) as session:
            if self._sqlite:  # its driver begins no transaction before it reads
                session.connection().exec_driver_sql("BEGIN")
            else:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            return work(session)

    async def close(self) -> None:
        """Finish what was asked and let go of the file."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self.engine.dispose()
