"""Analyses in a list: the library and the recent ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from frontend import formatting
from frontend.analysis.shared_words import Span
from frontend.layout import ModelsContext
from frontend.library.contexts import FoundEditContext, ListedContext, Option
from frontend.urls import urls
from server.analyses.schema import AnalysisSummary, FoundEdit

STATES = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
BEFORE, EXCERPT = 30, 120
"""Letters of an edit before what was found in it, and in all."""
FILTERS = [*STATES.items(), ("deleted", "deleted lately")]


def listed(
    found: Iterable[AnalysisSummary], now: datetime, *, changeable: bool = False, query: str = ""
) -> list[ListedContext]:
    """One line for each, newest first as they come; with a button to delete it when `changeable`, and with
    the edits in which the query was found.
    """
    return [
        ListedContext(
            href=urls.analysis(a.id),
            title=formatting.quoted(" ".join(a.title.split()), 120) or "(blank)",
            pair=a.pair,
            status=a.status,
            state=STATES[a.status],
            size=f"{a.readings} of {a.tokens} tokens read" if a.tokens else "no tokens yet",
            created=ago(a.created, now),
            created_iso=a.created.isoformat(),
            deleted=a.deleted is not None,
            delete=urls.delete(a.id) if changeable else "",
            restore=urls.restore(a.id),
            edits=[_edit(edit, query.split()) for edit in a.edits],
            study=urls.study(a.study) if a.study else "",
        )
        for a in found
    ]


def _edit(edit: FoundEdit, looked_for: Sequence[str]) -> FoundEditContext:
    """The place in an edit's words, or else the watched words."""
    pattern = re.compile("|".join(map(re.escape, looked_for)), re.IGNORECASE)
    words = " ".join(formatting.plain(edit.text).split())
    hit = pattern.search(words)
    if hit is None:
        words, where, start, end = (
            ", ".join(map(formatting.quoted, edit.targets)),
            "Watched in an edit: ",
            0,
            None,
        )
    else:
        start = words.rfind(" ", 0, max(0, hit.start() - BEFORE)) + 1
        where, end = "In an edit: ", start + EXCERPT
    marked, at = [Span("\u2026 " * bool(start), False)], start
    for match in pattern.finditer(words, start, end or len(words)):
        marked += [Span(words[at : match.start()], False), Span(match[0], True)]
        at = match.end()
    marked += [Span(words[at:end], False), Span(" \u2026" * (end is not None and end < len(words)), False)]
    return FoundEditContext(edit.url, where, [span for span in marked if span.text])


def ago(then: datetime, now: datetime) -> str:
    """`just now`, `12 minutes ago`, `3 hours ago`, else the date."""
    minutes = int((now - then).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{formatting.counted(minutes, 'minute')} ago"
    if minutes < 24 * 60:
        return f"{formatting.counted(minutes // 60, 'hour')} ago"
    return f"{then:%d %b %Y}".lstrip("0")


def options(values: Iterable[tuple[str, str]], chosen: str, all_of_them: str) -> list[Option]:
    """A filter's choices, as (value, label), after the one that leaves it open."""
    return [Option(value, label, value == chosen) for value, label in [("", all_of_them), *values]]


def offered(names: Sequence[str], models: ModelsContext, chosen: str) -> list[Option]:
    """The pairs to choose from, each with what it takes; none where there is no choice."""
    if len(names) == 1:
        return []
    held = models.pair if models.state == "ready" else ""
    hints = [(name, f"{name} (resident)" if name == held else f"{name} (loaded first)") for name in names]
    return [Option(name, label, name == (chosen or names[0])) for name, label in hints]


def along(pairs: Sequence[tuple[str, int | None]], chosen: str) -> list[Option]:
    """The pairs that can read along, with their layers."""
    ticked = chosen.split(",")
    return [
        Option(name, name if layer is None else f"layer {layer} ({name})", name in ticked)
        for name, layer in pairs
    ]


def found(count: int, q: str, left_out: int = 0) -> str:
    """Say the number of analyses, or of those that a search found, and of those of studies that are not listed."""
    analyses = f"{count:,} {'analysis' if count == 1 else 'analyses'}"
    analyses += f" with \u201c{formatting.quoted(q, 60)}\u201d" if q else ""
    return f"{analyses}; {left_out:,} more of studies" if left_out else analyses


def empty(*, narrowed: bool) -> str:
    """Say why the list is empty."""
    return "Nothing fits." if narrowed else "Nothing yet: the first analysis will stand here."
