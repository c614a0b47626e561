"""Rows to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from server.store.tables import AnalysisRow, ReadingRow


def analysis(id: str, *, age: int = 0, **more: Any) -> AnalysisRow:
    """An analysis, so many minutes old."""
    values = {
        "address": f"address of {id}",
        "pair": "fake",
        "status": "done",
        "request": "{}",
        "title": id,
        "words": "",
        "created": datetime(2026, 11, 21, tzinfo=UTC) - timedelta(minutes=age),
        "token_count": 0,
        "timings": "{}",
        "versions": "{}",
        "runs": 0,
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
