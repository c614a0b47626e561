"""The words of the API: what is asked (`AnalysisRequest`), what is answered (`Analysis`), what is streamed
(`Event`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    PlainSerializer,
    StrictInt,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from server.analyses.lens_table import LENS_JSON_SCHEMA, LensTable
from server.jobs.progress import Progress, Status
from server.nla.checkpoints.card import Card
from server.nla.flags import is_content
from server.schema import RequestModel, ResponseModel

ListedStatus = Literal["queued", "running", "done", "failed", "cancelled", "deleted"]
"""Filters of the library; `deleted` are the analyses whose deletion can still be undone."""
EventKind = Literal["tokens", "lens", "tuned_lens", "delta", "reading", "progress", "done", "failed"]
"""The kinds of event of an analysis. Their data are, in this order: list[Token] (whole, each time), LensTable,
LensTable, ReadingDelta, Reading (again when its scores come), Progress, Ended, Ended.
"""

LAST_SEED = 2**31 - 1
HOTTEST = 5
"""The highest temperature that can be asked for."""
Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]
Temperature = Annotated[float, Field(ge=0, le=HOTTEST, allow_inf_nan=False)]

# Tags of the two spellings of `positions`; the error handler leaves them out of field names.
POSITIONS_WORD, POSITIONS_LIST = "<word>", "<list>"


def _spelling(value: object) -> str:
    return POSITIONS_LIST if isinstance(value, list | tuple) else POSITIONS_WORD


Positions = Annotated[
    Annotated[Literal["all", "prompt", "generated"], Tag(POSITIONS_WORD)]
    | Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(max_length=20_000), Tag(POSITIONS_LIST)],
    Discriminator(_spelling),
]

LensField = Annotated[
    LensTable,
    PlainSerializer(lambda lens: json.loads(b"".join(lens.json_parts())), return_type=dict[str, Any]),
    WithJsonSchema(LENS_JSON_SCHEMA),
]


class Message(RequestModel):
    """One turn of a chat."""

    role: Annotated[str, Field(min_length=1, max_length=40)]
    content: Annotated[str, Field(min_length=1)]


class Generate(RequestModel):
    """The reply to write before reading. Temperature 0 is greedy."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 48
    temperature: Temperature = 0.0
    seed: Seed = 0


SEVERAL = 0.7
"""The temperature of several samples when none was asked for."""


class Verbalise(RequestModel):
    """Options of the AV. Without a temperature: greedy for one sample, 0.7 for several (greedy ones would all
    be the same).
    """

    temperature: Temperature | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] = 200
    samples: Annotated[int, Field(ge=1)] = 1
    seed: Seed = 0


class AnalysisRequest(RequestModel):
    """The body of POST /api/analyses: a chat (`messages`) or raw `text`, never both."""

    pair: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    text: Annotated[str, Field(min_length=1)] | None = None
    continue_final_message: bool = False
    """The last message, one of the assistant, is the beginning of the reply: it is left open, as the option
    of this name does in transformers and vLLM. Its tokens are of the kind `prompt` and the role `assistant`.
    """
    generate: Generate | None = None
    positions: Positions = "all"
    verbalise: Verbalise = Verbalise()
    also: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=16)] = Field(
        default=[]
    )
    """Further pairs of the same target, which read the same forward pass, each as an analysis of its own."""
    causal: bool | None = None
    """Whether the causal scores of its readings are measured, too. Without it the setting `causal_scores` decides."""

    @model_validator(mode="after")
    def _one_prompt(self) -> AnalysisRequest:
        if (self.messages is None) == (self.text is None):
            raise ValueError("give either messages or text")
        return self

    @field_validator("continue_final_message")
    @classmethod
    def _last_is_the_assistants(cls, value: bool, info: ValidationInfo) -> bool:
        if value and "messages" in info.data:  # it is not there when it has a fault of its own
            messages = info.data["messages"]
            if not messages or messages[-1].role != "assistant":
                raise ValueError("the last of the messages must be one of the assistant, to be continued")
        return value

    @property
    def prompt_text(self) -> str:
        """All that was typed, in order: for titles and for search."""
        return self.text if self.text is not None else "\n".join(m.content for m in self.messages or ())


class Token(ResponseModel):
    """One position. `norm` is None until the trace is done; `glyph` names [first, last] where one glyph spans
    tokens.
    """

    position: int
    id: int
    text: str
    kind: Literal["prompt", "generated"]
    role: str
    special: bool
    norm: float | None = None
    flags: list[str] = Field(default=[])
    glyph: tuple[int, int] | None = None

    @property
    def content(self) -> bool:
        """True if it counts in means, baselines, ranks and comparisons; see `server.nla.flags`."""
        return is_content(self.position, self.special, self.flags)


class ReadingCausal(ResponseModel):
    """The causal score of a reading; see `server.measurements`. `kl`: KL(unpatched || patched) of the next token, in
    nats, with the reading's reconstruction in the activation's place; `kl_mean` with the text's mean activation,
    `kl_shuffled` with that of another reading, `kl_other` with the same one turned to the reading's own angle (the
    null), `kl_random` with a random direction at that angle. `share` = 1 - kl / kl_mean; `kept`: the first choice
    stays.
    """

    kl: float
    kl_mean: float | None
    kl_shuffled: float | None
    kl_other: float | None
    kl_random: float | None
    share: float | None
    kept: bool


class Reading(ResponseModel):
    """One text that the AV wrote for one position. Scores are None until the AR has read it; `error` marks a
    failed one. `rank` is among the activations of the `rank_of` positions of content, its own included; without a
    `rank_of` it was made by an earlier version, among those of all positions.
    """

    position: int
    sample: int = 0
    text: str = ""
    truncated: bool = False
    cos: float | None = None
    mse: float | None = None
    fve: float | None = None
    rank: int | None = None
    rank_of: int | None = None
    error: str | None = None
    causal: ReadingCausal | None = None
    """None until it has been measured."""

    @property
    def scored(self) -> bool:
        """True if nothing more will be written about it."""
        return self.cos is not None or self.error is not None


READING_COLUMNS = set(Reading.model_fields) - {"causal"}
"""The fields of a reading that are kept with it; its causal score is kept with its measurement."""


class Chance(ResponseModel):
    """Scores by chance on some positions of this very prompt, of `n` readings: those dealt to other
    positions, and the mean activation of the other positions.
    """

    shuffled_cos: float | None
    shuffled_fve: float | None
    mean_cos: float | None
    mean_fve: float | None
    n: int


class Baselines(Chance):
    """Baselines over the positions of content, with those that are left out (template, special tokens, sinks) by
    themselves. Those of an earlier version are over all positions.
    """

    over: Literal["all", "content"] = "all"
    left_out: Chance | None = None
    nearest: float | None = None
    """The share of the readings whose own activation is the nearest of `nearest_of`, drawn from the content."""
    nearest_of: int | None = None


class CausalShare(ResponseModel):
    """1 - Σ KL / Σ KL(mean) over `n` readings, with the middle 95 % over resampled units; None of too few units."""

    share: float | None
    interval: tuple[float, float] | None
    n: int


class AnalysisCausal(CausalShare):
    """The causal score of an analysis over its content. `null`: another reading at the same angle; `shuffled`: that as
    it is; `random`: a random direction at the same angle. Intervals resample `units` turns or sentences.
    """

    unit: Literal["turns", "sentences"]
    units: int
    null: CausalShare
    shuffled: CausalShare
    random: CausalShare


class ReadingDelta(ResponseModel):
    """The next bit of a reading that is being written, for pinned positions alone."""

    position: int
    sample: int
    text: str


class Ended(ResponseModel):
    """The last event of a stream: `done`, or `failed` (whose status may be `cancelled`)."""

    id: str
    url: str
    status: Status
    error: str | None = None
    baselines: Baselines | None = None
    timings: dict[str, float] = Field(default={})


class Sibling(ResponseModel):
    """An analysis of the same text and the same wishes by another pair of the same target."""

    pair: str
    layer: int | None
    id: str
    url: str
    status: Status


class SiblingReadings(Sibling):
    """A sibling with its own tokens (their norms and flags are of its layer, and its reply may be another
    one) and readings.
    """

    error: str | None = None
    fve_variance: float | None = None
    baselines: Baselines | None = None
    versions: dict[str, str] = Field(default={})
    tokens: list[Token] = Field(default=[])
    readings: list[Reading] = Field(default=[])


class Analysis(ResponseModel):
    """GET /api/analyses/{id}, at any stage. `focus` is the position that a page pins when its address names
    none; `tuned_lens` is like `lens`, where the target has translators; `card` is what the pair's makers say of it.
    """

    id: str
    url: str
    status: Status
    error: str | None = None
    request: AnalysisRequest
    pair: str
    card: Card | None = None
    layer: int | None = None
    fve_variance: float | None = None
    focus: int | None = None
    tokens: list[Token] = Field(default=[])
    readings: list[Reading] = Field(default=[])
    lens: LensField | None = None
    tuned_lens: LensField | None = None
    baselines: Baselines | None = None
    causal_summary: AnalysisCausal | None = None
    progress: Progress
    timings: dict[str, float] = Field(default={})
    versions: dict[str, str] = Field(default={})
    siblings: list[Sibling] = Field(default=[])
    created: datetime
    finished: datetime | None = None


@dataclass(frozen=True)
class LayerReadings:
    """A sibling's readings at one position, and its versions. `error` is why its analysis failed, if it did."""

    sibling: Sibling
    readings: list[Reading]
    error: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


class FoundEdit(ResponseModel):
    """An edit that a search has found: its words, and those it watches."""

    id: str
    url: str
    position: int
    text: str
    targets: list[str]


class AnalysisSummary(ResponseModel):
    """One line of the library. `title` is the first words of the prompt; tokens and readings are counts.

    `deleted` says since when it is, of those that can still be restored. `edits`: the oldest of those that
    hold every word of the query, or one that nothing else of the analysis holds. `study`: the id of the study that
    began it, as long as nobody else has asked for the same.
    """

    id: str
    url: str
    title: str
    pair: str
    status: Status
    created: datetime
    deleted: datetime | None = None
    tokens: int
    readings: int
    edits: list[FoundEdit] = Field(default=[])
    study: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """An analysis as it stands, and the readings that are being written: their texts so far, by position and sample."""

    analysis: Analysis
    writing: Mapping[tuple[int, int], str] = field(default_factory=dict)


def url_of(analysis_id: str) -> str:
    """The permalink's path."""
    return f"/a/{analysis_id}"
