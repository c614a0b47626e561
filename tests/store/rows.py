"""Rows to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from server.store.tables import (
    AnalysisRow,
    InterventionRow,
    MeasurementRow,
    ReadingRow,
    StudyRow,
    VectorReadingRow,
    VectorRow,
)

MOMENT = datetime(2026, 11, 21, tzinfo=UTC)


def analysis(id: str, *, age: int = 0, **more: Any) -> AnalysisRow:
    """An analysis, so many minutes old."""
    values = {
        "address": f"address of {id}",
        "pair": "fake",
        "status": "done",
        "request": "{}",
        "title": id,
        "search_text": "",
        "created": MOMENT - timedelta(minutes=age),
        "token_count": 0,
        "timings": "{}",
        "versions": "{}",
        "run_number": 0,
        "tokens_event": 0,
        "lens_event": 0,
        "end_event": 0,
    }
    return AnalysisRow(id=id, **{**values, **more})


def reading(analysis_id: str, position: int, text: str = "", **more: Any) -> ReadingRow:
    """A reading."""
    return ReadingRow(
        analysis_id=analysis_id,
        position=position,
        sample=0,
        text=text,
        truncated=False,
        tokens=1,
        event=1,
        **more,
    )


def written(*rows: ReadingRow) -> list[dict[str, Any]]:
    """What is set of these readings, as it is written."""
    return [
        {c.key: vars(row)[c.key] for c in ReadingRow.__table__.columns if c.key in vars(row)} for row in rows
    ]


def intervention(
    id: str, analysis_id: str, position: int = 0, *, age: int = 0, words: str = "", status: str = "done"
) -> InterventionRow:
    """An intervention, so many minutes old."""
    return InterventionRow(
        id=id,
        analysis_id=analysis_id,
        pair="fake",
        status=status,
        run_number=0,
        position=position,
        created=MOMENT - timedelta(minutes=age),
        result=f"result of {id}",
        search_text=words,
    )


def measurement(id: str, analysis_id: str) -> MeasurementRow:
    """A measurement of causal scores that is made."""
    return MeasurementRow(
        id=id,
        analysis_id=analysis_id,
        pair="fake",
        status="done",
        run_number=0,
        created=MOMENT,
        result=f"result of {id}",
        what="causal",
    )


def vector(id: str, *, age: int = 0, data: bytes = b"", name: str = "mine") -> VectorRow:
    """A vector, so many minutes old."""
    return VectorRow(
        id=id,
        pair="fake",
        layer=1,
        d_model=8,
        name=name,
        norm=1.0,
        created=MOMENT - timedelta(minutes=age),
        sources="[]",
        data=data,
    )


def study(id: str, *, age: int = 0, **more: Any) -> StudyRow:
    """A study of two cases, so many minutes old."""
    values = {
        "pair": "fake",
        "status": "done",
        "created": MOMENT - timedelta(minutes=age),
        "run_number": 0,
        "kind": "prompts",
        "title": id,
        "cases": 2,
        "inputs": "{}",
        "result": "",
    }
    return StudyRow(id=id, **{**values, **more})


def vector_reading(id: str, vector_id: str, *, result: str = "") -> VectorReadingRow:
    """Readings of a vector that are made."""
    return VectorReadingRow(
        id=id,
        vector_id=vector_id,
        pair="fake",
        status="done",
        created=MOMENT,
        run_number=1,
        result=result,
    )
