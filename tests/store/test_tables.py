from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from server.store.tables import Moment, escape, unescape

TEXTS = [
    "",
    "plain",
    "\0",
    "a\0b\\u0000",
    "\\",
    "\\\\u0041",
    "\ud800 alone",
    "\N{CAT FACE}",
    "line\u2028end\r\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_survives(text: str) -> None:
    kept = escape(text)
    assert unescape(kept) == text
    assert "\0" not in kept
    kept.encode()  # and any database can hold it


def test_different_texts_are_kept_differently() -> None:
    assert len({escape(text) for text in TEXTS}) == len(TEXTS)


def test_moments_are_in_utc_whatever_zone_they_came_in() -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2)))
    kept = Moment().process_bind_param(noon, None)  # type: ignore[arg-type]
    assert kept is not None
    naive = kept.replace(tzinfo=None)  # as SQLite gives it back
    assert Moment().process_result_value(naive, None) == datetime(2026, 11, 21, 10, tzinfo=UTC)  # type: ignore[arg-type]
