from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from server.errors import StoreError
from server.store import attached, kept_vectors, repository, studies
from server.store.database import connect, migrate
from server.store.migrate_data import copy
from server.store.tables import (
    Base,
    CausalScoreRow,
    EndedSessionRow,
    InterventionRow,
    NotebookEntryRow,
    NotebookRow,
    TraceRow,
    VectorReadingRow,
)
from tests.store.rows import (
    MOMENT,
    analysis,
    intervention,
    measurement,
    reading,
    study,
    vector,
    vector_reading,
)


@pytest.fixture
def source(tmp_path: Path) -> Engine:
    """A library on SQLite."""
    engine = connect(f"sqlite:///{tmp_path / 'old.db'}")
    migrate(engine)
    with Session(engine) as session, session.begin():
        session.add(analysis("cats", search_text="Zürich\0 at night"))
        session.flush()
        session.add(analysis("alias", address=None, alias_of="cats"))
        session.add(TraceRow(analysis_id="cats", lens=b"\0lens", activations=b"\xff" * 1000))
        session.add_all(reading("cats", n, f"thought {n}", vector=b"v", cos=0.5) for n in range(250))
        session.add(intervention("edit", "cats", 7, words="a château"))
        session.add(vector("v", data=b"\0\xff"))
        session.flush()
        session.add(vector_reading("r", "v", result="read"))
        session.add(study("sums", title="20 × 9\0"))
        session.flush()
        case = {"study_id": "sums", "number": 0, "case_id": "c", "document": "{}"}
        studies.keep_cases([case, {**case, "number": 1, "case_id": "d"}], session)
        session.add(measurement("m", "cats"))
        session.flush()
        session.add(CausalScoreRow(measurement_id="m", position=1, sample=0, event=1, document="{}"))
        session.add(NotebookRow(id="n", title="Cats", created=MOMENT, changed=MOMENT))
        session.flush()
        session.add(EndedSessionRow(id="s", expires=MOMENT))
        entry = {"name": "a", "note": "*b*", "analysis_id": "cats", "created": MOMENT, "changed": MOMENT}
        session.add(NotebookEntryRow(id="e", notebook_id="n", place=1, **entry))
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
        assert attached.made(InterventionRow, "cats", new, position=7) == ["result of edit"]
        assert [s.id for s in repository.recent(9, "zürich thought 249", new)] == ["cats"]
        assert [s.id for s in repository.recent(9, "château", new)] == ["cats"]
        assert [(row.name, row.data) for row in [kept_vectors.get("v", new)] if row] == [("mine", b"\0\xff")]
        assert attached.made(VectorReadingRow, "v", new) == ["read"]
        assert [row.title for row in studies.recent(9, None, new)] == ["20 × 9\0"]
        assert studies.cases("sums", new) == {0: ("c", "{}"), 1: ("d", "{}")}
    source.dispose()


def test_every_table_is_copied(source: Engine, engine: Engine) -> None:
    copy(source, engine)
    with source.connect() as old, engine.connect() as new:
        for table in Base.metadata.sorted_tables:
            count = select(func.count()).select_from(table)
            assert old.scalar(count) == new.scalar(count) != 0, table.name
    source.dispose()


def test_nothing_is_copied_over_other_analyses(source: Engine, engine: Engine) -> None:
    copy(source, engine)
    with pytest.raises(StoreError, match="copy into an empty database"):
        copy(source, engine)
    source.dispose()
