"""Requests for studies, a class for each kind, as the API takes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from server.analyses.schema import Generate, Message, Seed, Verbalise
from server.schema import RequestModel

LARGEST_FACTOR = 9_999
LONGEST_TEMPLATE = 20_000
"""Letters of a template or a prompt."""
# Tags of the members of unions; the error handler leaves out of field names what stands in such brackets.
MULTIPLICATION, PROMPTS, CAPITALS, LANGUAGES = "<multiplication>", "<prompts>", "<capitals>", "<languages>"
WORD, RULE, CHAT = "<word>", "<rule>", "<chat>"
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEMPLATE)]
Alpha = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Template = Annotated[
    Annotated[Text, Tag(WORD)] | Annotated[list[Message], Field(min_length=1, max_length=200), Tag(CHAT)],
    Discriminator(lambda value: WORD if isinstance(value, str) else CHAT),
]
FactorRange = Annotated[
    list[Annotated[int, Field(ge=1, le=LARGEST_FACTOR)]], Field(min_length=2, max_length=2)
]


class _AnyStudy(RequestModel):
    """Fields of a request for any kind of study."""

    title: Annotated[str, Field(max_length=200)] = ""
    pair: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    seed: Seed = 0
    raw: bool = False
    """A prompt that is a string is raw text, not a question of the user's in a chat."""
    verbalise: Verbalise = Verbalise()

    @field_validator("verbalise")
    @classmethod
    def _one_sample(cls, value: Verbalise) -> Verbalise:
        if value.samples != 1:
            raise ValueError("a study takes one reading of each position: samples is 1")
        return value


class MultiplicationRequest(_AnyStudy):
    """A study of how a model multiplies. `problems` pairs of factors are drawn from two inclusive ranges, in an order
    that the seed decides, so a study of more problems holds those of a smaller one. The answer is greedy.

    `template`: a question of the user's or a chat, with `{a}` and `{b}` in it; where the last message is the
    assistant's, the model goes on with it. Without one: eight worked lines, then `a * b =` begun for the model.
    """

    kind: Literal["multiplication"]
    problems: Annotated[int, Field(ge=1)]
    factors: Annotated[list[FactorRange], Field(min_length=2, max_length=2)]
    template: Template | None = None
    causal: bool = False
    """Measure the causal score of every reading too."""
    edit_alphas: list[Alpha] = Field(default_factory=list, max_length=12)
    """Strengths with which a digit is replaced in the words before it, and the model is steered; none: no edits."""

    @field_validator("factors")
    @classmethod
    def _in_order(cls, value: list[list[int]]) -> list[list[int]]:
        for low, high in value:
            if low > high:
                raise ValueError(f"a range goes from its least number to its largest: [{high}, {low}]")
        return value

    @field_validator("template")
    @classmethod
    def _has_slots(cls, value: str | list[Message] | None) -> str | list[Message] | None:
        if value is not None:
            whole = value if isinstance(value, str) else "\n".join(message.content for message in value)
            missing = [slot for slot in ("{a}", "{b}") if slot not in whole]
            if missing:
                raise ValueError(f"the template has no {' and no '.join(missing)}, where the factors go")
        return value


class Rule(RequestModel):
    """A text or a regular expression, one of the two. `{column}` in the text is what a row has in that column."""

    token: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    regex: Annotated[str, Field(min_length=1, max_length=500)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Rule:
        if (self.token is None) == (self.regex is None):
            raise ValueError("give either token or regex")
        return self


def _is_word(value: object) -> str:
    return WORD if isinstance(value, str) else RULE


PlaceName = Literal["before_digits", "digits", "last", "all"]
PositionRule = Annotated[
    Annotated[PlaceName, Tag(WORD)] | Annotated[Rule, Tag(RULE)], Discriminator(_is_word)
]
"""Which positions are read. `last`: the last of the prompt. `digits`, `before_digits`: every token with a digit in it,
and the one before. `token`: those of the tokens that are this text, blanks around it left out. `regex`: those of the
tokens that hold a part of what it finds in the text.
"""
MeasureName = Literal["fve", "cos", "causal", "lens", "names_token", "names_next"]
Measure = Annotated[Annotated[MeasureName, Tag(WORD)] | Annotated[Rule, Tag(RULE)], Discriminator(_is_word)]
"""What is measured of each reading. `fve`, `cos`: its round trip. `causal`: its causal score. `lens`: the first layer
at which the lens's first choice is the token that follows. `names_token`, `names_next`: 1 where the words hold the
token that is read, or the one after it. `token`, `regex`: 1 where the words hold the text, or it finds something, in
any capitals.
"""


class PromptsRequest(_AnyStudy):
    """Many prompts and one table. The prompts are given as `prompts`, or as `rows` of a table (or `csv`, its text, with
    the names of the columns first) that fill the `{column}`s of a `template`; without a template the column `prompt`,
    or the only one, holds them.
    """

    kind: Literal["prompts"]
    prompts: list[Text] | None = None
    rows: list[dict[str, str]] | None = None
    csv: str | None = None
    template: Template | None = None
    generate: Generate | None = None
    positions: PositionRule = "all"
    measures: dict[Annotated[str, Field(min_length=1, max_length=80)], Measure] = Field(
        default_factory=dict, max_length=20
    )

    @model_validator(mode="after")
    def _one_source(self) -> PromptsRequest:
        if sum(given is not None for given in (self.prompts, self.rows, self.csv)) != 1:
            raise ValueError("give prompts, rows or csv, one of the three")
        return self


Name = Annotated[str, Field(min_length=1, max_length=80)]


class CapitalsRequest(_AnyStudy):
    """A study of whether an edited country carries over to its capital. The model goes on with `template`, which ends
    in the question for the capital of `{country}`, as raw text where it is a string. Where it says the capital, and the
    reading names the country, the country's name is replaced in the words by that of another one, and patched in: in
    the activation's place, and steering at each of `edit_alphas`.

    `capitals`: those of the countries that are asked for; without it the built-in list. `countries`: how many of them,
    in an order that the seed decides.
    """

    kind: Literal["capitals"]
    capitals: Annotated[dict[Name, Name], Field(min_length=2)] | None = None
    countries: Annotated[int, Field(ge=2)] | None = None
    template: Template = "The capital of {country} is"
    raw: bool = True
    edit_alphas: list[Alpha] = Field(default_factory=lambda: [0.25, 0.5, 1.0], max_length=12)

    @field_validator("template")
    @classmethod
    def _has_slot(cls, value: str | list[Message]) -> str | list[Message]:
        if "{country}" not in (value if isinstance(value, str) else "".join(m.content for m in value)):
            raise ValueError("the template has no {country}, where the country's name goes")
        return value


class Turn(RequestModel):
    """A message of a transcript, with the English name of the language in which it is written."""

    role: Literal["user", "assistant"]
    content: Text
    language: Annotated[str, Field(min_length=2, max_length=40, pattern=r"^\w[\w -]*$")]


Transcript = Annotated[list[Turn], Field(min_length=1, max_length=200)]


class LanguagesRequest(_AnyStudy):
    """A study of which languages the readings name along transcripts that switch languages. Every so many tokens of the
    messages (`every`) are read. `transcripts`: the user's own; without them the built-in ones. `width`: how many
    readings on either side the lines are smoothed over (the standard deviation of a Gaussian).
    """

    kind: Literal["languages"]
    transcripts: Annotated[list[Transcript], Field(min_length=1)] | None = None
    every: Annotated[int, Field(ge=1, le=1_000)] = 2
    width: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)] = 3.0


Request = MultiplicationRequest | PromptsRequest | CapitalsRequest | LanguagesRequest


def _kind_of(value: object) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>"


StudyRequest = Annotated[
    Annotated[MultiplicationRequest, Tag(MULTIPLICATION)]
    | Annotated[PromptsRequest, Tag(PROMPTS)]
    | Annotated[CapitalsRequest, Tag(CAPITALS)]
    | Annotated[LanguagesRequest, Tag(LANGUAGES)],
    Discriminator(_kind_of),
]
