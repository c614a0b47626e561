"""The words of the API: what is asked of an intervention, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from server.analyses.schema import Generate, Seed
from server.analyses.word_curves import WordTokens
from server.jobs.progress import Progress
from server.schema import RequestModel, ResponseModel
from server.vectors.schema import UsedVector

Mode = Literal["replace", "steer"]
SteerOrigin = Literal["original", "activation"]
Scope = Literal["position", "onwards"]
ControlKind = Literal["random", "unedited", "other", "gold"]
Target = Annotated[str, Field(min_length=1, max_length=100)]
REPLY = 24
"""Tokens of the continuation when none were asked for."""
ALPHA = 0.5
"""The strength of a steer when none was asked for. What is kept carries its own."""


class ContinuationParams(Generate):
    """Options of the model's continuation, shorter than a reply by default."""

    max_new_tokens: Annotated[int, Field(ge=1)] = REPLY


class Gold(RequestModel):
    """A position of another analysis by the same pair: its activation is what the edited words are meant to make."""

    analysis: Annotated[str, Field(min_length=1, max_length=40)]
    position: Annotated[int, Field(ge=0)]


class InterventionRequest(RequestModel):
    """The body of POST /api/analyses/{id}/interventions. `text` is read by the AR, v = AR(text), or else
    `vector` is the id of one that is kept (POST /api/vectors), v itself; and with h the activation at `position`:

    replace: h ← ‖h‖ v/‖v‖. steer: h ← h + alpha ‖h‖ Δ/‖Δ‖, where Δ is v − AR(the reading as it is) (`delta`:
    original), or v − h with both at length 1 (`delta`: activation); with a `vector` Δ is v itself, and there is no
    `delta`. Replacing has no use for alpha, delta and sweep.
    """

    position: Annotated[int, Field(ge=0)]
    text: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    vector: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    mode: Mode = "replace"
    alpha: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] | None = None
    delta: SteerOrigin | None = None
    sweep: list[Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]] = Field(
        default_factory=list, max_length=12
    )
    """Further values of alpha to steer with, for the next token alone."""
    scope: Scope = "position"
    """Onwards: at every later position too, those of the reply included. Each keeps its own length:
    replacing, all of them point the same way, that of v; steering, to each is added a step alpha times as
    long as it is.
    """
    targets: list[Target] = Field(default_factory=list, max_length=6)
    """Words whose probability as the next one is wanted; a leading space is a part of a word."""
    until: Annotated[int, Field(ge=0)] | None = None
    """The position after which the model goes on: the prompt's last one, or `position` if that is in the reply."""
    sample: Annotated[int, Field(ge=0)] = 0
    """Which of the position's readings was edited."""
    generate: ContinuationParams = ContinuationParams()
    seed: Seed = 0
    """The seed of the random directions."""
    gold: Gold | None = None


class TargetToken(WordTokens):
    """One of the `targets`: how likely its first token is. `rank` 0 = the first choice."""

    text: str
    prob: float
    rank: int


class ModelOutput(ResponseModel):
    """The model's output: its likeliest next tokens `[id, text, probability]`, the targets, and how it goes
    on. `ended`: it ended its turn. `tokens`: those of how it goes on, `[id, text]`, the one that ends its turn left
    out; none in what was kept before they were there.
    """

    top: list[tuple[int, str, float]]
    targets: list[TargetToken]
    text: str
    ended: bool
    tokens: list[tuple[int, str]] = Field(default_factory=list)


class Replay(ResponseModel):
    """The reply as it is without the patch, read again with it. `kls`: KL(before ‖ after) of each token of `before`, in
    nats, given the tokens before it; the last one may be of the token that ends the turn. `null_kls`: the means of `n`
    controls of the kind `null`, which are other readings, or random directions where the text has no others.
    """

    kls: list[float]
    null: ControlKind
    n: int
    null_kls: list[float]


class Control(ResponseModel):
    """Patches with other words, or with none: what they do is what this edit has to beat.

    other: the readings of `n` other positions. random: `n` random directions, a floor. Both are turned to the
    edit's own angle with the activation, and as long. unedited: the reading as it is, through the AR. gold:
    the activation that was named. Numbers are means over the `n`; `interval` spans their middle 90 %. `kept`:
    how many leave the model's first choice as it was. `above`: how many have a `kl` at least as large as the
    edit's. `probs` are those of the targets. `text` is that of the first. Of each by itself: `each_kl` [n],
    `each_probs` [n][targets] and the model's first choice, `each_first` [n].
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
    each_kl: list[float] = Field(default_factory=list)
    each_probs: list[list[float]] = Field(default_factory=list)
    each_first: list[str] = Field(default_factory=list)


class SweepPoint(ResponseModel):
    """The edit steered with another `alpha`: how far the next token moves (`kl`), the first choice `[id,
    text, probability]`, and the targets' probabilities; beside random directions (means) and other readings
    (each by itself), both turned to the edit's angle and as long. `random_firsts`: the first choice after each random
    direction. `old_first`: the probability of what the
    model's first choice is without a patch. `elsewhere`: what is on neither the five tokens that are likeliest
    without a patch nor the targets; where it grows, the model breaks.
    """

    alpha: float
    kl: float
    first: tuple[int, str, float]
    probs: list[float]
    random_kl: float
    random_interval: tuple[float, float]
    random_probs: list[float]
    random_firsts: list[str] = Field(default_factory=list)
    old_first: float | None = None
    elsewhere: float | None = None
    random_old_first: float | None = None
    random_elsewhere: float | None = None
    other_kls: list[float] = Field(default_factory=list)
    other_probs: list[list[float]] = Field(default_factory=list)


class WordsScore(ResponseModel):
    """The score of the edited words, as for a reading: how much of the activation they hold."""

    cos: float
    mse: float
    fve: float | None


class Verdict(ResponseModel):
    """The verdict: did the words change the model's mind? Judged by one target: the likeliest after the edit, of
    those that the model did not say anyway.

    `word`: its index. `first`: it has become the first choice. `above`: of the `others` (other readings) how
    many make it at least as likely. `unedited`: the reading as it is does. `stretched`: the step is made of a
    Δ below 5 % (`delta_ratio`). `changed`: it is the first choice, none of them does, and the step is not
    stretched.
    """

    word: int
    first: bool
    others: int
    above: int
    unedited: bool
    stretched: bool = False
    changed: bool


class Intervention(ResponseModel):
    """One edit, patched in, beside what the model says without it. What is kept of earlier versions is read
    by this too: a field that is new needs a default.

    `kl`: KL(before ‖ after) of the next token at `until`, in nats; `kls`: the same at each position from the
    patch to there. `cos_original`: between the activation and what took its place. `original`: the reading
    that was edited, if there was one. `delta_ratio`: of a steer, how large Δ was before it was stretched:
    ‖Δ‖/‖AR(the reading as it is)‖, or, from the activation, ‖Δ‖ between the two at length 1. `verdict`: None
    where no target could win, or nothing was compared. `vector`: the one that was patched in, in place of words;
    `score` then is its own.
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
    vector: UsedVector | None = None
    before: ModelOutput
    after: ModelOutput
    controls: list[Control]
    delta_ratio: float | None = None
    verdict: Verdict | None = None
    sweep: list[SweepPoint] = Field(default_factory=list)
    replay: Replay | None = None
    """None in what was kept before it was there."""
    versions: dict[str, str]
    seconds: float


class PendingIntervention(ResponseModel):
    """An edit that is being made or waits. Stages of its progress: loading, waiting, queued, reconstruct, patch, sweep;
    `done` of `total` patches have been run.
    """

    id: str
    url: str
    analysis: str
    created: datetime
    request: InterventionRequest
    vector: UsedVector | None = None
    pair: str
    progress: Progress
