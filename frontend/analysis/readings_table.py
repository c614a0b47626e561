"""All readings as a table that is sorted and narrowed by its address: the ribbon's twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from frontend import formatting
from frontend.analysis.page import table
from frontend.analysis.ribbon_contexts import ColumnContext, ReadingRowContext, ReadingsPage
from frontend.analysis.tokens import speaker
from frontend.analysis.view import View
from frontend.links import Field
from frontend.urls import urls
from server.analyses.ribbon import is_template, ribbon
from server.analyses.schema import Token

COLUMNS = {"position": "position", "token": "token", "role": "turn", "line": "in a line", "score": "holds"}
"""What the table can be sorted by, and the names of these columns."""


@dataclass(frozen=True)
class Narrowed:
    """Wishes of the address: a column to sort by (downwards with a leading `-`), words that token, line or reading
    must hold, the speaker, and whether the template's tokens are shown. What is not understood is left out.
    """

    sort: str = "position"
    q: str = ""
    role: str = ""
    template: str = ""

    @property
    def column(self) -> str:
        """The column that is sorted by."""
        name = self.sort.removeprefix("-")
        return name if name in COLUMNS else "position"

    @property
    def downwards(self) -> bool:
        """True if the greatest comes first."""
        return self.sort.startswith("-")


def readings_page(view: View, asked: Narrowed) -> ReadingsPage:
    """The table with the readings that are asked for."""
    a = view.analysis
    made = ribbon(a)
    raw = any(t.role == "text" for t in a.tokens)
    held = {
        (r.position, r.sample): r.fve if r.fve is not None else r.cos for r in a.readings if r.error is None
    }

    def role_of(token: Token) -> str:
        return "template" if is_template(token) else speaker(token.role, raw and token.kind == "generated")

    rows = [
        ReadingRowContext(
            position=line.position,
            sample=line.sample,
            token=line.token,
            href=line.href,
            role=role_of(a.tokens[line.position]),
            line=formatting.plain(made.lines[line.position].text),
            text=line.text,
            swatch=line.swatch,
            score=line.score,
        )
        for line in table(view)
        if line.position < len(a.tokens)
    ]
    roles = list(dict.fromkeys(row.role for row in rows))
    shown = [row for row in rows if _wanted(row, asked)]
    order: dict[str, Callable[[ReadingRowContext], Any]] = {
        "position": lambda row: row.position,
        "token": lambda row: row.token.strip("\u00b7").casefold(),
        "role": lambda row: row.role,
        "line": lambda row: row.line.casefold(),
        "score": lambda row: _or_least(held.get((row.position, row.sample))),
    }
    shown.sort(key=lambda row: (row.position, row.sample))
    shown.sort(key=order[asked.column], reverse=asked.downwards)
    return ReadingsPage(
        title=view.title,
        back=urls.analysis(a.id),
        action=urls.readings(a.id),
        hidden=[Field("sort", asked.sort)] if asked.sort != "position" else [],
        query=asked.q,
        roles=[(role, role == asked.role) for role in roles],
        template=bool(asked.template),
        columns=[_column(a.id, name, label, asked) for name, label in COLUMNS.items()],
        rows=shown,
        count=f"{len(shown)} of {len(rows)} readings",
    )


def _wanted(row: ReadingRowContext, asked: Narrowed) -> bool:
    if row.role == "template" and not asked.template and asked.role != "template":
        return False
    if asked.role and row.role != asked.role:
        return False
    held = f"{row.token}\n{row.line}\n{row.text}".casefold()
    return all(word in held for word in asked.q.casefold().split())


def _column(id: str, name: str, label: str, asked: Narrowed) -> ColumnContext:
    """A column's link sorts by it; once it does, the other way round."""
    current = name == asked.column
    turned = f"-{name}" if current and not asked.downwards else name
    sort = "" if turned == "position" else turned
    href = urls.readings(id, sort=sort, q=asked.q, role=asked.role, template=asked.template)
    return ColumnContext(label, href, ("descending" if asked.downwards else "ascending") if current else "")


def _or_least(score: float | None) -> float:
    return float("-inf") if score is None else score
