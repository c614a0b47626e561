"""The panel of one token: readings, scores, neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.analysis.flags import Flag
from frontend.analysis.shared_words import Span
from frontend.edits.contexts import EditContext
from frontend.lens.contexts import LayersContext
from frontend.links import Choice


@dataclass(frozen=True)
class Figure:
    """A score as a figure, with what it is."""

    name: str
    value: str
    explained: str


@dataclass(frozen=True)
class ReadingContext:
    """One reading: `state` is waiting, writing, scoring, done, failed or skipped. `precision` says what was
    quantised.
    """

    sample: int
    state: str
    text: str
    paragraphs: list[list[Span]]
    truncated: bool
    note: str
    error: str
    headline: str
    bin: int
    rank: str
    figures: list[Figure]
    precision: str = ""


@dataclass(frozen=True)
class LayerReadContext:
    """What another pair reads of the pinned token, at its layer; `note` says why there is nothing (yet)."""

    layer: str
    pair: str
    href: str
    note: str
    readings: list[ReadingContext]


@dataclass(frozen=True)
class BesideContext:
    """The readings at other layers. `again` is where they are asked for until all are there, empty after that."""

    position: int
    again: str
    layers: list[LayerReadContext]


@dataclass(frozen=True)
class NeighbourContext:
    """The reading of a token nearby, with the words marked that the pinned one's reading has too."""

    name: str
    choice: Choice
    words: list[Span]
    swatch: str
    score: str


@dataclass(frozen=True)
class StepContext:
    """A link to the token before or after."""

    href: str
    panel: str
    rel: str
    label: str
    sign: str


@dataclass(frozen=True)
class PanelContext:
    """The pinned token: its readings, its scores, its layers."""

    position: int
    title: str
    where: str
    steps: list[StepContext]
    readings: list[ReadingContext]
    agreed: bool
    """Whether words are marked that several samples share."""
    neighbours: list[NeighbourContext]
    beside: BesideContext
    baselines: list[str]
    flags: list[Flag]
    card: str
    """What the pair's own card says of its readings; empty where it says nothing."""
    edits: EditContext
    layers: LayersContext
