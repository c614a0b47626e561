"""Editing a reading's words: the form, and what the model said with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frontend.edits.word_diff import WordDiff
from frontend.lens.contexts import Guess
from frontend.lens.drawing import Tick
from frontend.links import Choice


@dataclass(frozen=True)
class EditForm:
    """Values of the form, as strings: whatever was typed is shown again, right or wrong. `vector` is the id of one that
    is patched in, in place of the text. `targets` are exact words whose probability is wanted; `watch` are more of them
    as they are typed, with commas between them. `swap` and `swap_with` are the words of a quick edit; `changed` tells
    that one has just changed the text.
    """

    text: str = ""
    vector: str = ""
    mode: str = "replace"
    alpha: str = "0.5"
    delta: str = "original"
    scope: str = "position"
    until: str = ""
    targets: tuple[str, ...] = ()
    watch: str = ""
    sweep: str = ""
    sample: str = "0"
    swap: str = ""
    swap_with: str = ""
    changed: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Offered:
    """A word that can be watched by one click."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Bit:
    """A stretch of a sentence; a `token` is drawn as one."""

    text: str
    token: bool = False


@dataclass(frozen=True)
class EffectRow:
    """One kind of patch: how far it moves the next token, with a bar of `width` in percent of the farthest.
    `span` is the middle of several. `probs`: each watched word's, and the most that any of several gives it.
    """

    name: str
    explained: str
    moved: str
    span: str
    width: float
    kept: str
    probs: list[tuple[str, str]]


@dataclass(frozen=True)
class StrengthRow:
    """The edit steered with another strength."""

    alpha: str
    moved: str
    width: float
    random: str
    span: str
    others: str
    first: str
    probs: list[tuple[str, str]]
    """Probability of a watched word with the edit, and the most that any other reading gives it."""
    chosen: bool


@dataclass(frozen=True)
class SpokenContext:
    """Output of the model, as it is or patched."""

    name: str
    guesses: list[Guess]
    text: str
    ended: bool


@dataclass(frozen=True)
class ReplayColumn:
    """One token of each reply, or of one of them. `moved` is the KL there along the unpatched reply, `beside` that with
    the controls, `width` a bar in percent, `shade` its colour.
    """

    before: str
    after: str
    same: bool
    moved: str
    width: float
    beside: str
    shade: str


@dataclass(frozen=True)
class ReplayContext:
    """Both replies, aligned. `same`: they say the same; `beside`: the controls; `again`: where the patched text is
    posted to be read, empty where it cannot be.
    """

    columns: list[ReplayColumn]
    same: bool
    beside: str
    again: str


@dataclass(frozen=True)
class StepMoved:
    """KL after one token, with the edit and with random directions."""

    name: str
    moved: str
    random: str
    width: float


@dataclass(frozen=True)
class DosePanel:
    """One drawing over the strengths: lines by their colour, a band of random directions, a dot for each other reading;
    `keys` name the colours.
    """

    name: str
    lines: list[tuple[str, str]]
    keys: list[tuple[str, str]]
    band: str
    dots: list[tuple[float, float]]
    ticks: list[Tick]


@dataclass(frozen=True)
class DoseContext:
    """Drawings of an edit at each strength; places are in units of the drawing."""

    panels: list[DosePanel]
    ticks: list[Tick]
    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class EditResult:
    """One intervention. `words` is what was edited, None where `vector` (its name, and where it stands) took the place
    of words; `watched` are the words of the table's last columns,
    `unpatched` their probabilities as it is; `notebook` is the form that puts it into one, empty where it cannot be.
    """

    id: str
    words: WordDiff | None
    verdict: list[Bit]
    compared: list[Bit]
    warning: str
    tried: str
    how: list[Bit]
    watched: list[str]
    unpatched: list[str]
    rows: list[EffectRow]
    spoken: list[SpokenContext]
    strengths: list[StrengthRow]
    along: list[StepMoved]
    json: str
    vector: tuple[str, str] | None = None
    dose: DoseContext | None = None
    replay: ReplayContext | None = None
    notebook: str = ""


@dataclass(frozen=True)
class ExportedEdit:
    """An edit in an exported file: `token` is the name of the one at which it was made, `href` leads to that
    in the file.
    """

    token: str
    href: str
    label: str
    result: EditResult
    permalink: str


@dataclass(frozen=True)
class PendingEdit:
    """An edit that is being made. `follow` is asked until it is made, `cancel` ends it; `done` of `total` patches have
    been run, where that is known.
    """

    id: str
    label: str
    stage: str
    done: int
    total: int | None
    follow: str
    cancel: str


@dataclass(frozen=True)
class EditContext:
    """The pinned token's edits. Without an `action` there is nothing to edit yet. `draft` is what a draft is
    kept under, in the browser: the analysis and the position.
    """

    position: int
    action: str = ""
    draft: str = ""
    ends: Sequence[tuple[str, str]] = ()
    """Positions after which the model may go on, and their names."""
    form: EditForm = EditForm()
    offered: Sequence[Offered] = ()
    """Words to watch: those that are watched, their variants, and the likeliest next tokens."""
    vectors: Sequence[Offered] = ()
    """Vectors of this pair and layer, which can be patched in in place of words."""
    quick: str = ""
    """Where a quick edit is sent."""
    sentences: Sequence[tuple[str, str]] = ()
    """Sentences that can be left out: their numbers, and how they begin."""
    difference: WordDiff | None = None
    """What a quick edit has changed against the reading."""
    result: EditResult | None = None
    earlier: Sequence[Choice] = ()
    pending: Sequence[PendingEdit] = ()
    open: bool = False
