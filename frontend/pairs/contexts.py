"""The pages of pairs."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.bars import Bar
from frontend.layout import ModelsContext


@dataclass(frozen=True)
class ListedPair:
    """One pair in the list. `state` is empty for one that this server does not offer."""

    href: str
    name: str
    facts: list[str]
    score: str
    state: str
    status: str


@dataclass(frozen=True)
class PairsPage:
    """pairs/pairs.html"""

    items: list[ListedPair]
    models: ModelsContext
    here: str = "pairs"


@dataclass(frozen=True)
class Figure:
    """Bars that answer one question, with the marks of their scale; `control` says what the upright mark is."""

    id: str
    title: str
    explained: str
    bars: list[Bar]
    scale: tuple[str, str, str]
    control: str = ""


@dataclass(frozen=True)
class Part:
    """One of the three models: where it is from, and whether it is on this disk."""

    role: str
    what: str
    source: str
    size: str
    here: str


@dataclass(frozen=True)
class PairPage:
    """pairs/pair.html: `trust` and what follows come from the pair's card, `has_card` says whether there is one."""

    name: str
    facts: list[str]
    has_card: bool
    trust: str
    measured: str
    figures: list[Figure]
    how: str
    fails: tuple[str, ...]
    made: tuple[str, ...]
    parts: list[Part]
    variance: str
    licence: str
    json: str
    models: ModelsContext
    here: str = "pairs"
