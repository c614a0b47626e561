"""New, empty databases for tests, of either kind. Those of PostgreSQL are made where TEST_POSTGRESQL_URL points."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url, text

from server.store.database import connect

POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL")
BOTH = ["sqlite", "postgresql"]


@contextmanager
def new_postgresql(template: str = "template1") -> Iterator[str]:
    """The address of a new database, a copy of another that nobody uses. It is removed at the end. Skips the test where
    there is no PostgreSQL.
    """
    if POSTGRESQL is None:
        pytest.skip("no PostgreSQL: export TEST_POSTGRESQL_URL=$(.ci/postgres /tmp/nla-postgres)")
    name = f"test_{uuid.uuid4().hex}"
    engine = connect(POSTGRESQL).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield make_url(POSTGRESQL).set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
