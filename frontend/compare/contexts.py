"""Two analyses beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.analysis.panel_contexts import ReadingContext
from frontend.analysis.text_contexts import RowContext
from frontend.layout import ModelsContext
from frontend.links import Field


@dataclass(frozen=True)
class SideContext:
    """One of two compared analyses; `name` is a or b. `note` says why there is no reading, where there is none."""

    name: str
    title: str
    href: str
    facts: list[str]
    rows: list[RowContext]
    token: str
    position: int | None
    reading: ReadingContext | None
    note: str
    state: str


@dataclass(frozen=True)
class DifferenceContext:
    """A token that both read, and how much of its activation each reading holds."""

    name: str
    href: str
    a: str
    b: str
    gap: str


@dataclass(frozen=True)
class CompareContext:
    """Two analyses beside each other; `difference` is empty where too little is scored."""

    sides: list[SideContext]
    alike: str
    difference: str
    rows: list[DifferenceContext]
    marked: bool
    swap: str


@dataclass(frozen=True)
class ChooseSide:
    """Choices of one side: the `options` name analyses and hold their ids."""

    name: str
    options: list[Field]
    chosen: str
    sample: int


@dataclass(frozen=True)
class ComparePage:
    """compare/compare.html"""

    c: CompareContext | None
    sides: list[ChooseSide]
    models: ModelsContext
    here: str = ""
