"""The store tests run on either database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from server.store.database import connect
from tests.databases import BOTH, new_postgresql


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a new, empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'deep' / 'down' / 'a.db'}"
    else:
        with new_postgresql() as url:
            yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine of a new, empty database."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=BOTH)
def session(request: pytest.FixtureRequest, tmp_path: Path, new_database: Path) -> Iterator[Session]:
    """A session on a migrated database, never committed unless the test does."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{shutil.copyfile(new_database, tmp_path / 'copy.db')}"
        else:
            url = stack.enter_context(new_postgresql(request.getfixturevalue("postgresql_template")))
        engine = connect(url)
        with Session(engine) as session:
            yield session
        engine.dispose()
