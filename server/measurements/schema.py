"""Requests and documents of measurements, as the API has them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from server.analyses.schema import Seed
from server.analyses.word_curves import LONGEST, WhichLens, WordTokens
from server.jobs.progress import Progress
from server.schema import RequestModel, ResponseModel

MAX_HORIZON = 32
FormKind = Literal["shuffle_sentences", "shuffle_words", "lowercase"]
RewordingKind = Literal["paraphrase", "translate"]
TestKind = Literal[
    "leave_out", "shuffle_sentences", "shuffle_words", "lowercase", "paraphrase", "translate", "given"
]
Texts = Annotated[list[Annotated[str, Field(min_length=1, max_length=20_000)]], Field(max_length=8)]
Language = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\W\d_][\w \-()]*$")]
ControlName = Literal["mean", "other", "shuffled", "random"]
CONTROLS: tuple[ControlName, ...] = ("mean", "other", "shuffled", "random")


class MeasurementRequest(RequestModel):
    """The body of POST /api/analyses/{id}/measurements. `causal`: the causal score of every reading of the analysis.
    `parts`: what carries the signal of one reading, that of `sample` at `position`. `form`: what all readings lose when
    only their form changes. `test`: the `test` of the readings of `positions`. `word`: how likely every layer finds
    `word` as what comes next, after every position.

    h is the activation at a position and v a vector; h ← ‖h‖ v/‖v‖ takes its place after block K, at one position at a
    time. v is the reconstruction of the reading there, and of the controls:

    mean: the mean direction of the text's other activations. other: the reconstruction of another reading of the text,
    turned to the angle that the reading's own has with h. shuffled: the same one as it is. random: a random direction,
    turned to that angle as well; it does little and is no null.
    """

    kind: Literal["causal", "parts", "form", "test", "word"] = "causal"
    horizon: Annotated[int, Field(ge=0, le=MAX_HORIZON)] = 4
    """The number of following tokens over which the effect is also measured."""
    seed: Seed = 0
    """The seed of the choice of other readings, of the random directions, and of what is shuffled."""
    position: Annotated[int, Field(ge=0)] | None = None
    sample: Annotated[int, Field(ge=0)] = 0
    texts: Texts = Field(default_factory=list)
    """Other words for the reading, such as a paraphrase or a translation, to be scored beside it."""
    reword: bool = False
    """Whether the target itself paraphrases and translates the reading, too."""
    language: Language = "French"
    """The language that it translates into."""
    test: TestKind | None = None
    positions: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=20_000)] | None = (
        None
    )
    """The positions whose readings are tested; those of content unless they are given."""
    word: Annotated[str, Field(min_length=1, max_length=LONGEST)] | None = None
    """The word that is tracked, exactly as it is given: a leading space is a part of it."""
    lens: WhichLens = "plain"
    """The lens by which a word is tracked."""

    @property
    def what(self) -> str:
        """The measurement that is asked for, apart from its parameters: `causal`, `form`, `word`, `parts:12:0` or
        `test:translate`.
        """
        return {
            "parts": f"parts:{self.position}:{self.sample}",
            "test": f"test:{self.test}",
        }.get(self.kind, self.kind)


class CausalRequest(RequestModel):
    """The body of POST /api/analyses/{id}/causal; see `MeasurementRequest`."""

    horizon: Annotated[int, Field(ge=0, le=MAX_HORIZON)] = 4
    seed: Seed = 0


class FormTestRequest(RequestModel):
    """The body of POST /api/analyses/{id}/tests: read the readings of `positions` (those of content, unless they are
    given) again in another form.

    leave_out: without each sentence, quotation and word. shuffle_sentences, shuffle_words, lowercase: in another form.
    paraphrase, translate: reworded by the target itself. given: in the words of `texts`, of one position.
    """

    kind: TestKind
    positions: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=20_000)] | None = (
        None
    )
    sample: Annotated[int, Field(ge=0)] = 0
    texts: Texts = Field(default_factory=list)
    language: Language = "French"
    seed: Seed = 0


class Effect(ResponseModel):
    """The effect of one patch. `kl`: KL(unpatched || patched) of the next token, in nats. `kl_after`: its mean over the
    tokens that follow, up to the horizon. `loss`: by how many nats the text's own next token becomes less likely.
    `kept`: the model's first choice stays. None at the end of the text.
    """

    kl: float
    kl_after: float | None
    loss: float | None
    kept: bool


class CausalScore(ResponseModel):
    """The causal score of one reading: 1 − KL(reading) / KL(mean), the share of the damage that it undoes; 1 = the
    model goes on as with its own activation, 0 = no better than the text's mean activation. None where the mean does
    too little damage to tell (`TOO_LITTLE` nats). `after`: the same over the tokens that follow.
    """

    position: int
    sample: int
    score: float | None
    after: float | None
    reading: Effect
    mean: Effect | None = None
    other: Effect | None = None
    shuffled: Effect | None = None
    random: Effect | None = None


class ControlSummary(ResponseModel):
    """The mean effects of the readings, or of one control, over `n` positions. `score`: 1 − Σ KL / Σ KL(mean)."""

    n: int
    score: float | None
    after: float | None
    kl: float
    kl_after: float | None
    loss: float | None
    kept: float
    """The share of the positions at which the first choice stays."""


class CausalSummary(ResponseModel):
    """The summary over some positions of one text. Tokens are not independent, so it has no interval over them; that of
    `server.analyses.schema.AnalysisCausal` is over turns or sentences.
    """

    reading: ControlSummary
    mean: ControlSummary | None = None
    other: ControlSummary | None = None
    shuffled: ControlSummary | None = None
    random: ControlSummary | None = None
    correlation: float | None = None
    """Spearman's, of causal and round-trip scores (cosines), over the readings that have both."""


VariantKind = Literal[
    "whole",
    "without_sentence",
    "without_random",
    "without_quote",
    "without_word",
    "shuffle_sentences",
    "shuffle_words",
    "lowercase",
    "paraphrase",
    "translate",
    "given",
]


class Variant(ResponseModel):
    """One form of a reading, with its scores: `cos` and `fve` of the round trip, and in the activation's place `kl`, in
    nats at the next token. None where the AR makes no vector of it. `index` is the sentence, quotation or word that
    is left out, or the sentence for which as many words are left out at random of the others (`without_random`), or the
    number of a text that was given.
    """

    kind: VariantKind
    index: int | None
    text: str
    cos: float | None = None
    fve: float | None = None
    kl: float | None = None


class Parts(ResponseModel):
    """Parts of a reading: its sentences and words (each with the blanks that follow it) and its quotations, the scores
    of the whole and of each other form. `mean_kl`: KL with the text's mean activation.
    """

    position: int
    sample: int
    sentences: list[str]
    quotes: list[str] = Field(default_factory=list)
    words: list[str]
    variants: list[Variant]
    mean_kl: float | None


UnitName = Literal["turns", "sentences"]


class FormLoss(ResponseModel):
    """The mean loss of `n` readings in another form: `lost` of the round-trip score (FVE, or the cosine where V is not
    known), `undone_lost` of the share of the mean activation's damage that they undo, Σ ΔKL / Σ KL(mean). Intervals are
    the middle 95 % over resampled units; None of fewer than four.
    """

    kind: VariantKind
    n: int
    lost: float
    interval: tuple[float, float] | None
    undone_lost: float | None
    undone_interval: tuple[float, float] | None


class FormResult(ResponseModel):
    """Losses of `n` readings of content in other forms. `held` and `undone` are of the readings as they are;
    `unit` is what the intervals resample, of which there are `units`.
    """

    n: int
    unit: UnitName
    units: int
    held: float
    undone: float | None
    losses: list[FormLoss]


class ScoredForm(ResponseModel):
    """One form of the reading at `position`. `label` says which: `whole`, `without sentence 2`, `paraphrase`. `causal`:
    its causal score, 1 − KL / KL(mean); None where the mean does too little damage to tell. All scores are None where
    the AR makes no vector of the text.
    """

    position: int
    label: str
    text: str
    fve: float | None = None
    cos: float | None = None
    causal: float | None = None
    kl: float | None = None


class FormTestResult(ResponseModel):
    """The forms of the readings that were tested, and a summary. `summary` has a loss for each kind of form: of
    `leave_out` also `without_random`, its null (as many words left out at random).
    """

    forms: list[ScoredForm]
    summary: FormResult


class FormTest(ResponseModel):
    """GET /api/tests/{id}: a test that is made or being made."""

    id: str
    url: str
    status: Literal["queued", "running", "done"]
    analysis: str
    created: datetime
    request: FormTestRequest
    pair: str
    progress: Progress | None = None
    results: list[ScoredForm] = Field(default_factory=list)
    summary: FormResult | None = None


class TrackedWord(WordTokens):
    """A word over layers and positions. `prob` and `rank` (0 = the first choice), [layer][position]: of its first token
    as the next one. `whole`, [position]: of all its tokens one after another, by the model's output.
    """

    word: str
    prob: list[list[float]]
    rank: list[list[int]]
    whole: list[float]


class WordTrack(ResponseModel):
    """Probabilities of a word as what comes next, by each of `layers`: the last one is the model's output, the others
    are a lens. `variants`: the word as it was given, then the one that differs in the space before it.
    """

    lens: WhichLens
    layers: list[int]
    variants: list[TrackedWord]


class WordMention(ResponseModel):
    """A reading that mentions a word. `places`: where each mention begins and ends in its text, in characters."""

    position: int
    sample: int
    places: list[tuple[int, int]]


class MentionCount(ResponseModel):
    """A count of readings: `n` of `of` mention the word."""

    n: int
    of: int


class WordMentions(ResponseModel):
    """GET /api/analyses/{id}/mentions: the readings that mention a word: in any case, in the plural, a number in
    figures or in words. `written`: the positions at which the text itself has it. `before` counts the readings of the
    positions before the first of these, all where there is none; `after` the others. `elsewhere`, the null: readings
    that the pair has made of other texts, up to `server.measurements.word_mentions.ELSEWHERE` of the newest. Readings
    of one text are not independent of each other.
    """

    word: str
    written: list[int]
    readings: list[WordMention]
    before: MentionCount
    after: MentionCount
    elsewhere: MentionCount


class Measurement(ResponseModel):
    """A measurement: causal scores with their summaries, `parts`, `form`, `test` or `word`. `content` sums up the
    positions of content, `left_out` those of template, special tokens and sinks, by themselves.
    """

    id: str
    url: str
    analysis: str
    created: datetime
    request: MeasurementRequest
    pair: str
    layer: int
    scores: list[CausalScore] = Field(default_factory=list)
    content: CausalSummary | None = None
    left_out: CausalSummary | None = None
    parts: Parts | None = None
    form: FormResult | None = None
    test: FormTestResult | None = None
    word: WordTrack | None = None
    status: Literal["done"] = "done"
    versions: dict[str, str]
    seconds: float


class PendingMeasurement(ResponseModel):
    """A measurement that is being made or waits. Stages of its progress: loading, waiting, queued, patch (or lens, of
    a word); `done` of `total` patches, forms or layers have been run. `scores`: the causal scores that have been
    measured so far.
    """

    id: str
    url: str
    analysis: str
    created: datetime
    request: MeasurementRequest
    pair: str
    status: Literal["queued", "running"] = "queued"
    progress: Progress
    scores: list[CausalScore] = Field(default_factory=list)
