from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from server.store.sessions import end, ended


def test_what_expired_is_forgotten(session: Session) -> None:
    moment = datetime(2026, 11, 29, tzinfo=UTC)
    end("old", moment, moment, session)
    end("old", moment, moment, session)
    assert ended("old", session)
    later = moment + timedelta(days=1)
    end("new", later, later, session)
    assert [ended(id, session) for id in ("old", "new")] == [False, True]
