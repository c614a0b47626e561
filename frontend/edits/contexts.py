"""Editing a reading's words: the form, and what the model said with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frontend.edits.word_diff import WordDiff
from frontend.lens.contexts import Guess
from frontend.links import Choice


@dataclass(frozen=True)
class EditForm:
    """What stands in the form, as strings: whatever was typed is shown again, right or wrong. `targets` are
    exact words whose probability is wanted; `watch` are more of them as they are typed, with commas between
    them.
    """

    text: str = ""
    mode: str = "replace"
    alpha: str = "0.5"
    delta: str = "original"
    scope: str = "position"
    until: str = ""
    targets: tuple[str, ...] = ()
    watch: str = ""
    sweep: str = ""
    sample: str = "0"
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
    """Of each watched word: with the edit, and the most that any other reading gives it."""
    chosen: bool


@dataclass(frozen=True)
class SpokenContext:
    """What the model says, as it is or patched."""

    name: str
    guesses: list[Guess]
    text: str
    ended: bool


@dataclass(frozen=True)
class StepMoved:
    """How far the expectation after one token moves, and how far at random."""

    name: str
    moved: str
    random: str
    width: float


@dataclass(frozen=True)
class EditResult:
    """One intervention. `words` is what was edited; `watched` are the words of the table's last columns,
    `unpatched` their probabilities as it is.
    """

    id: str
    words: WordDiff
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
    result: EditResult | None = None
    earlier: Sequence[Choice] = ()
    open: bool = False
