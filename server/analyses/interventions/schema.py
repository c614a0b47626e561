"""The words of the API: what is asked of an intervention, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from server.analyses.schema import Answered, Asked, Generate, Seed
from server.analyses.words import WordTokens

Mode = Literal["replace", "steer"]
Delta = Literal["original", "activation"]
Scope = Literal["position", "onwards"]
ControlKind = Literal["random", "unedited", "other", "gold"]
Target = Annotated[str, Field(min_length=1, max_length=100)]
REPLY = 24
"""Tokens of the continuation when none were asked for."""
ALPHA = 1.0


class Further(Generate):
    """How the model goes on, shorter than a reply is unless told otherwise."""

    max_new_tokens: Annotated[int, Field(ge=1)] = REPLY


class Gold(Asked):
    """A position of another analysis by the same pair: its activation is what the edited words are meant to make."""

    analysis: Annotated[str, Field(min_length=1, max_length=40)]
    position: Annotated[int, Field(ge=0)]


class InterventionRequest(Asked):
    """What POST /api/analyses/{id}/interventions takes. `text` is read by the AR, v = AR(text), and with h the activation at
    `position`:

    replace: h ← ‖h‖ v/‖v‖. steer: h ← h + alpha ‖h‖ Δ/‖Δ‖, where Δ is v − AR(the reading as it is) (`delta`: original), or
    v − h with both at length 1 (`delta`: activation). Replacing has no use for alpha, delta and sweep.
    """

    position: Annotated[int, Field(ge=0)]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    mode: Mode = "replace"
    alpha: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] | None = None
    delta: Delta | None = None
    sweep: list[Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]] = Field(
        default_factory=list, max_length=12
    )
    """Further values of alpha to steer with, for the next token alone."""
    scope: Scope = "position"
    """Onwards: at every later position too, those of the reply included."""
    targets: list[Target] = Field(default_factory=list, max_length=6)
    """Words whose probability as the next one is wanted; a leading space is a part of a word."""
    until: Annotated[int, Field(ge=0)] | None = None
    """The position after which the model goes on: the prompt's last one, or `position` if that is in the reply."""
    sample: Annotated[int, Field(ge=0)] = 0
    """Which of the position's readings was edited."""
    generate: Further = Further()
    seed: Seed = 0
    """Of the random directions."""
    gold: Gold | None = None


class Watched(WordTokens):
    """One of the `targets`: how likely its first token is. `rank` 0 = the first choice."""

    text: str
    prob: float
    rank: int


class Spoken(Answered):
    """What the model says next: its likeliest tokens `[id, text, probability]`, the targets, and how it goes on. `ended`:
    it ended its turn.
    """

    top: list[tuple[int, str, float]]
    targets: list[Watched]
    text: str
    ended: bool


class Control(Answered):
    """Patches that mean nothing, or something else: what they do is what this edit has to beat.

    random: as far from the activation as the edit takes it, in `n` random directions. unedited: the reading as it is,
    through the AR. other: the readings of `n` other positions. gold: the activation that was named. Numbers are means over
    the `n`; `interval` spans their middle 90 %. `kept`: how many leave the model's first choice as it was. `above`: how many
    have a `kl` at least as large as the edit's. `probs` are those of the targets. `text` is that of the first.
    """

    kind: ControlKind
    n: int
    kl: float
    interval: tuple[float, float] | None
    kls: list[float]
    cos_original: float
    kept: int
    above: int
    probs: list[float]
    text: str


class Strength(Answered):
    """The edit steered with another `alpha`: how far the next token moves (`kl`), the first choice `[id, text, probability]`,
    and the targets' probabilities; beside means over random directions of the same length.
    """

    alpha: float
    kl: float
    first: tuple[int, str, float]
    probs: list[float]
    random_kl: float
    random_interval: tuple[float, float]
    random_probs: list[float]


class WordsScore(Answered):
    """How much of the activation the edited words hold, as for a reading."""

    cos: float
    mse: float
    fve: float | None


class Intervention(Answered):
    """One edit, patched in, beside what the model says without it. What is kept of earlier versions is read by this too: a
    field that is new needs a default.

    `kl`: KL(before ‖ after) of the next token at `until`, in nats; `kls`: the same at each position from the patch to there.
    `cos_original`: between the activation and what took its place. `original`: the reading that was edited, if there was one.
    """

    id: str
    url: str
    analysis: str
    created: datetime
    request: InterventionRequest
    pair: str
    layer: int
    until: int
    kl: float
    kls: list[float]
    cos_original: float
    score: WordsScore
    original: str | None
    before: Spoken
    after: Spoken
    controls: list[Control]
    sweep: list[Strength] = Field(default_factory=list)
    versions: dict[str, str]
    seconds: float
