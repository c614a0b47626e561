"""The panel of one token: readings, scores, neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

from frontend import formatting
from frontend.analysis.flags import Flag
from frontend.analysis.shared_words import Span
from frontend.causal.contexts import EffectsContext, PartsContext
from frontend.edits.contexts import EditContext
from frontend.lens.contexts import LayersContext
from frontend.links import Choice
from server.nla.fixed_sentences import Said


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
    compact: list[Said] = field(default_factory=list)
    """What its fixed sentences say; empty where the pair has none."""
    causal: EffectsContext | None = None
    parts: PartsContext | None = None

    @property
    def is_endless(self) -> bool:
        """Whether its text has a word that must be set without kerning."""
        return formatting.is_endless(self.text)


@dataclass(frozen=True)
class LayerReadContext:
    """Readings of the pinned token by another pair, at its layer; `note` says why there is nothing (yet)."""

    layer: str
    pair: str
    href: str
    note: str
    readings: list[ReadingContext]


@dataclass(frozen=True)
class OtherLayersContext:
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
    is_endless: bool
    """True if a word must be set without kerning."""


@dataclass(frozen=True)
class StepContext:
    """A link to the token before or after."""

    href: str
    panel: str
    rel: str
    label: str
    sign: str


@dataclass(frozen=True)
class AgreementLink:
    """Links to where the readings of a token are compared (`href`, empty where it has one), and read again, several
    times.
    """

    href: str
    again: str


@dataclass(frozen=True)
class PanelContext:
    """The pinned token: its readings, its scores, its layers."""

    position: int
    title: str
    where: str
    steps: list[StepContext]
    readings: list[ReadingContext]
    agreed: bool
    """True if words are marked that several samples share."""
    agreement: AgreementLink | None
    neighbours: list[NeighbourContext]
    beside: OtherLayersContext
    baselines: list[str]
    flags: list[Flag]
    card: str
    """The sentences of the pair's card on its readings; empty where it has none."""
    about: str
    """The address of the pair's page; empty in a file."""
    edits: EditContext
    keep: str
    """The address at which the activation is kept as a vector; empty until there is one."""
    notebook: str
    """The form that puts the token into a notebook."""
    layers: LayersContext
