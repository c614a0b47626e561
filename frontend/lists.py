"""Analyses in a list: the library and the recent ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from frontend import wording
from frontend.contexts.pages import ListedContext, ModelsContext, Option
from frontend.urls import urls
from server.analyses.schema import AnalysisSummary

STATES = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
FILTERS = [*STATES.items(), ("deleted", "deleted lately")]


def listed(
    found: Iterable[AnalysisSummary], now: datetime, *, changeable: bool = False
) -> list[ListedContext]:
    """One line for each, newest first as they come; with a button to delete it when `changeable`."""
    return [
        ListedContext(
            href=urls.analysis(a.id),
            title=wording.quoted(" ".join(a.title.split()), 120) or "(blank)",
            pair=a.pair,
            status=a.status,
            state=STATES[a.status],
            size=f"{a.readings} of {a.tokens} tokens read" if a.tokens else "no tokens yet",
            created=ago(a.created, now),
            created_iso=a.created.isoformat(),
            deleted=a.deleted is not None,
            delete=urls.delete(a.id) if changeable else "",
            restore=urls.restore(a.id),
        )
        for a in found
    ]


def ago(then: datetime, now: datetime) -> str:
    """`just now`, `12 minutes ago`, `3 hours ago`, else the date."""
    minutes = int((now - then).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return _plural(minutes, "minute")
    if minutes < 24 * 60:
        return _plural(minutes // 60, "hour")
    return f"{then:%d %b %Y}".lstrip("0")


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


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


def found(count: int, q: str) -> str:
    """How many analyses there are, or what a search came back with."""
    analyses = f"{count:,} {'analysis' if count == 1 else 'analyses'}"
    return f"{analyses} with \u201c{wording.quoted(q, 60)}\u201d" if q else analyses


def empty(*, narrowed: bool) -> str:
    """What stands in place of a list without lines."""
    return "Nothing fits." if narrowed else "Nothing yet: the first analysis will stand here."
