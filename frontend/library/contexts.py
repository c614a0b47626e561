"""Analyses in lists: the library, and one that was deleted lately."""

from __future__ import annotations

from dataclasses import dataclass, field

from frontend.analysis.shared_words import Span
from frontend.layout import ModelsContext


@dataclass(frozen=True)
class FoundEditContext:
    """An edit in which a search has found something: the words around the place, what was looked for marked."""

    href: str
    where: str
    words: list[Span]


@dataclass(frozen=True)
class ListedContext:
    """One analysis in a list. Without an address to delete it at there is no button for that. `study` is the address of
    the study that began it.
    """

    href: str
    title: str
    pair: str
    status: str
    state: str
    size: str
    created: str
    created_iso: str
    deleted: bool
    delete: str
    restore: str
    edits: list[FoundEditContext] = field(default_factory=list)
    study: str = ""


@dataclass(frozen=True)
class Option:
    """One choice of a filter."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Library:
    """library/library.html: `found` says how many there are; `gone` is what was deleted just now; `studies`: those that
    studies began are listed too.
    """

    q: str
    found: str
    empty: str
    models: ModelsContext
    items: list[ListedContext] = field(default_factory=list)
    pairs: list[Option] = field(default_factory=list)
    states: list[Option] = field(default_factory=list)
    older: str = ""
    newest: str = ""
    gone: ListedContext | None = None
    studies: bool = False
    here: str = "library"


@dataclass(frozen=True)
class Deleted:
    """library/deleted.html: what stands at the address of an analysis that can still be brought back."""

    a: ListedContext
    models: ModelsContext
    here: str = ""
