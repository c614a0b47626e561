"""Rows to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from server.store.tables import AnalysisRow, InterventionRow, ReadingRow

MOMENT = datetime(2026, 11, 21, tzinfo=UTC)


def analysis(id: str, *, age: int = 0, **more: Any) -> AnalysisRow:
    """An analysis, so many minutes old."""
    values = {
        "address": f"address of {id}",
        "pair": "fake",
        "status": "done",
        "request": "{}",
        "title": id,
        "words": "",
        "created": MOMENT - timedelta(minutes=age),
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


def intervention(
    id: str, analysis_id: str, position: int = 0, *, age: int = 0, words: str = ""
) -> InterventionRow:
    """An intervention, so many minutes old."""
    return InterventionRow(
        id=id,
        analysis_id=analysis_id,
        position=position,
        created=MOMENT - timedelta(minutes=age),
        result=f"result of {id}",
        search_text=words,
    )
