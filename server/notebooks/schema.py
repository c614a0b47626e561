"""The words of the API: what is put into a notebook, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from server.schema import RequestModel, ResponseModel

TITLE = 200
"""Letters of a title, and of the name of an entry."""
NOTE = 20_000
"""Letters of a note."""
ENTRIES = 200
"""Entries of a notebook: its page shows all of them."""
Title = Annotated[str, Field(min_length=1, max_length=TITLE, pattern=r"\S")]
Name = Annotated[str, Field(max_length=TITLE)]
Note = Annotated[str, Field(max_length=NOTE)]
Id = Annotated[str, Field(min_length=1, max_length=40)]
Kind = Literal["token", "edit", "word", "study", "note"]


class NotebookRequest(RequestModel):
    """The body of POST and PATCH /api/notebooks."""

    title: Title


class EntryRequest(RequestModel):
    """The body of POST /api/notebooks/{id}/entries: a token (`analysis` and `position`), an `edit` or a tracked word
    (`measurement`) of an `analysis`, a `study`, or nothing but a note. `note` is Markdown.
    """

    name: Name = ""
    note: Note = ""
    analysis: Id | None = None
    position: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    edit: Id | None = None
    measurement: Id | None = None
    study: Id | None = None


class EntryChange(RequestModel):
    """The body of PATCH /api/notebooks/{id}/entries/{entry}. What is left out stays. `place` counts from 0. With
    `seen`, the entry's `changed` as the asker knows it, nothing that somebody has written since is overwritten.
    """

    name: Name | None = None
    note: Note | None = None
    place: Annotated[int, Field(ge=0, lt=ENTRIES)] | None = None
    seen: Annotated[datetime, Field(strict=False)] | None = None


class Entry(ResponseModel):
    """An entry. What it shows keeps its own address, and may be deleted there."""

    id: str
    url: str
    kind: Kind
    name: str
    note: str
    analysis: str | None
    position: int | None
    edit: str | None
    measurement: str | None
    study: str | None
    created: datetime
    changed: datetime


class NotebookSummary(ResponseModel):
    """A notebook without its entries; `count` is their number."""

    id: str
    url: str
    title: str
    created: datetime
    changed: datetime
    count: int


class Notebook(NotebookSummary):
    """A notebook with its entries, in their order."""

    entries: list[Entry]


def notebook_url(id: str) -> str:
    """The permalink of a notebook."""
    return f"/n/{id}"


def entry_url(notebook_id: str, id: str) -> str:
    """The permalink of an entry."""
    return f"{notebook_url(notebook_id)}#{id}"
