"""The place in a stream from which a client goes on."""

from __future__ import annotations


def cursor(last_event_id: str | None) -> int | None:
    """The number in a Last-Event-ID header; whatever else stands there is none of ours, and means the
    beginning.
    """
    text = last_event_id or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None
