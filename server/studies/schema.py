"""Documents of studies, as the API answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import Field

from server.jobs.progress import Progress, Status
from server.schema import ResponseModel
from server.studies.requests import Request

Alignment = Literal["at", "before"]
"""The two readings of a digit: at its own position (it is an input there), and at the position before it, whose pass
produces it.
"""
ALIGNMENTS: tuple[Alignment, ...] = ("at", "before")


class ReadingResult(ResponseModel):
    """One reading of a case. `url` is its place on the page. `problem` and `stated`: the substitute problem that
    the words name, and the result that they state; `true`: that problem's real product, where `stated` is its result.
    `hinted`: digits that they hint as what comes next, in the order of mention. `where`: what stands there, in
    a study of capitals (country, or last: the prompt's last token); `language`: what is written there, in one of
    languages. `measures`: what was asked of each reading, None where it has none.
    """

    position: int
    token: str
    url: str
    text: str
    error: str | None = None
    cos: float | None = None
    fve: float | None = None
    causal: float | None = None
    problem: tuple[int, int] | None = None
    stated: int | None = None
    true: int | None = None
    hinted: list[str] = Field(default_factory=list)
    where: str | None = None
    language: str | None = None
    measures: dict[str, float | None] = Field(default_factory=dict)


class DigitEdit(ResponseModel):
    """A digit replaced in the words and patched in before the token that holds it, with strength `alpha`. `outcome`:
    the model's first choice is now the intended digit, stays the produced one, is another digit, or none at all
    (broken). `prob` and `random_prob` are of the intended digit: after the edit, and the mean over random directions at
    the same angle; `random_hits`: for each of those, whether it makes the intended digit the first choice.
    """

    alpha: float
    intended: str
    first: str
    outcome: Literal["intended", "produced", "other", "broken"]
    prob: float
    random_prob: float | None
    kl: float
    random_kl: float | None
    random_hits: list[bool] = Field(default_factory=list)
    url: str


class DigitResult(ResponseModel):
    """One digit of an answer, `place` counted from the left, from 0. `correct`: the digit of the true product at that
    place, None after its end. `prefix_right`: all digits before it are right. Of a token with several digits, each has
    the same positions and readings. `first_layer`: the first layer from which on (at least once) the lens's first
    choice is the token that holds the digit, at the position before it; `layers` is how many there are.
    """

    place: int
    digit: str
    correct: str | None
    right: bool
    prefix_right: bool
    position: int
    at: ReadingResult | None = None
    before: ReadingResult | None = None
    first_layer: int | None = None
    ranks: list[int] = Field(default_factory=list)
    """The rank of that token at each layer, 0 = first."""
    edits: list[DigitEdit] = Field(default_factory=list)


class Null(ResponseModel):
    """The statistic by chance: mean and middle 95 % over shuffles, or a value that follows from the design."""

    value: float | None
    interval: tuple[float, float] | None


class WordEdit(ResponseModel):
    """A country in the words of a reading replaced by the `other` one, and patched in at the reading's `position`: in
    the activation's place, or steered with strength `alpha`. `where`: which reading that is. `outcome`: the model's
    first choice is now the other capital, stays its own, or is another token. `prob` and `random_prob` are of the other
    capital: after the edit, and the mean over random directions at the same angle; `random_hits`: for each of those,
    whether it makes the other capital the first choice; `unedited`: whether the reading as it is does, patched in in
    the same way (None when steering, which leads away from it).
    """

    position: int
    where: str
    alpha: float | None
    other: str
    intended: str
    first: str
    outcome: Literal["other", "own", "another"]
    prob: float
    random_prob: float | None
    random_hits: list[bool]
    unedited: bool | None
    kl: float
    url: str


class LanguageLine(ResponseModel):
    """Share of readings that name a language along a transcript, smoothed over neighbours: `values` in the order
    of the readings. `null`: the same when they are dealt to other positions, mean and middle 95 %.
    """

    language: str
    values: list[float]
    null: Null


class Case(ResponseModel):
    """One prompt of a study, with its analysis (None where it could not be begun). `factors`, `product`, `exact` and
    `digits` are of multiplications (`answer` is the number that the model gave, None where it gave none); `row` and
    `readings` of all others; `exact` and `edits` of capitals, too (`exact`: the model says the capital); `lines` of
    languages.
    """

    number: int
    label: str
    analysis: str | None = None
    url: str | None = None
    error: str | None = None
    answer: str | None = None
    reply: str = ""
    factors: tuple[int, int] | None = None
    product: int | None = None
    exact: bool | None = None
    digits: list[DigitResult] = Field(default_factory=list)
    row: dict[str, str] = Field(default_factory=dict)
    readings: list[ReadingResult] = Field(default_factory=list)
    edits: list[WordEdit] = Field(default_factory=list)
    lines: list[LanguageLine] = Field(default_factory=list)


class Statistic(ResponseModel):
    """One statistic. `interval`: 95 %, resampled by case. `n`: the numbers that it is over, `cases`: the cases that
    they come from. `p`: of the comparison with the null (or with zero, of a difference), `p_corrected` by Holm over all
    comparisons of the study; None where nothing is compared.
    """

    value: float | None
    interval: tuple[float, float] | None
    null: Null | None = None
    n: int
    cases: int = 0
    p: float | None = None
    p_corrected: float | None = None


Statistics: TypeAlias = dict[str, dict[str, Statistic]]
"""By group, then by name. Multiplication: `at` and `before` (each with the same names), `answers`, `lens` and `edits`;
prompts: `readings`; capitals: `answers`, then of both places `country`, `last`, `edits_country` and `edits_last`;
languages: `readings` and `languages`.
"""
Kind = Literal["multiplication", "prompts", "capitals", "languages"]


class Study(ResponseModel):
    """GET /api/studies/{id}, at any stage: the cases and statistics of those that are finished. `notes` say in words
    what the figures must not be taken for; `comparisons`: how many are corrected together by Holm's method.
    """

    id: str
    url: str
    kind: Kind
    title: str
    status: Status
    error: str | None = None
    request: Request
    pair: str
    layer: int | None = None
    progress: Progress
    statistics: Statistics = Field(default_factory=dict)
    comparisons: int = 0
    notes: list[str] = Field(default_factory=list)
    cases: list[Case] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    created: datetime
    finished: datetime | None = None
    seconds: float | None = None


class StudySummary(ResponseModel):
    """One line of the list of studies; `cases` is how many it is to have."""

    id: str
    url: str
    kind: Kind
    title: str
    pair: str
    status: Status
    cases: int
    created: datetime
    finished: datetime | None = None


class Figures(ResponseModel):
    """The event `statistics`: those over the cases so far."""

    statistics: Statistics
    comparisons: int
    notes: list[str]


class StudyEnded(ResponseModel):
    """The last event of a stream: `done`, or `failed` (whose status may be `cancelled`)."""

    id: str
    url: str
    status: Status
    error: str | None = None


def study_url(study_id: str) -> str:
    """The permalink's path."""
    return f"/s/{study_id}"
