from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from server.errors import StoreError
from server.store import interventions, repository
from server.store.database import connect, migrate
from server.store.migrate_data import copy
from server.store.tables import TraceRow
from tests.store.rows import analysis, intervention, reading


@pytest.fixture
def source(tmp_path: Path) -> Engine:
    """A library on SQLite."""
    engine = connect(f"sqlite:///{tmp_path / 'old.db'}")
    migrate(engine)
    with Session(engine) as session, session.begin():
        session.add(analysis("cats", words="Zürich\0 at night"))
        session.flush()
        session.add(analysis("alias", address=None, same_as="cats"))
        session.add(TraceRow(analysis_id="cats", lens=b"\0lens", activations=b"\xff" * 1000))
        session.add_all(reading("cats", n, f"thought {n}", vector=b"v", cos=0.5) for n in range(250))
        session.add(intervention("edit", "cats", 7, words="a château"))
    return engine


def test_all_of_a_library_is_copied(source: Engine, engine: Engine) -> None:
    assert copy(source, engine) == 2
    with Session(source) as old, Session(engine) as new:
        before = repository.whole("alias", old, vectors=True)
        after = repository.whole("alias", new, vectors=True)
        assert before is not None
        assert after is not None
        for rows in (
            (before.row, after.row),
            (before.trace, after.trace),
            *zip(before.readings, after.readings, strict=True),
        ):
            kept, found = ({k: v for k, v in vars(row).items() if k != "_sa_instance_state"} for row in rows)
            assert kept == found
        assert interventions.of("cats", 7, new) == ["result of edit"]
        assert [s.id for s in repository.recent(9, "zürich thought 249", new)] == ["cats"]
        assert [s.id for s in repository.recent(9, "château", new)] == ["cats"]
    source.dispose()


def test_nothing_is_copied_over_other_analyses(source: Engine, engine: Engine) -> None:
    copy(source, engine)
    with pytest.raises(StoreError, match="copy into an empty database"):
        copy(source, engine)
    source.dispose()
