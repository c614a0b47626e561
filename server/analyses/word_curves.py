"""Words that a person puts beside the token that came: how likely each layer finds them as the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, computed_field

from server.analyses.schema import Analysis
from server.errors import BadInput, Conflict, FieldError
from server.schema import ResponseModel

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.prompt import Prompter

MOST = 6
"""Words compared at once."""
LONGEST = 100
"""Characters of a word."""


WhichVariant = Literal["exact", "likelier"]
"""A word as it is given, or with a space before it where the model's output finds that likelier."""
WhichLens = Literal["plain", "tuned"]
"""The logit lens, or the one whose translators were trained."""


Variant = Literal["space", "plain"]
"""A word with the space before it, which is a part of its first token, or without."""


class WordTokens(ResponseModel):
    """The tokens into which the target's tokenizer cuts a word. Only the first token is measured: `id`, `token`."""

    id: int
    token: str
    parts: list[str]
    """The text of each token."""
    ids: list[int] = Field(default_factory=list)
    """The id of each token; empty in what was kept before it was there."""
    variant: Variant | None = None

    @computed_field(description="The number of the word's tokens.")  # type: ignore[prop-decorator]
    @property
    def count(self) -> int:
        """The number of its tokens."""
        return len(self.parts)


class OtherVariant(WordTokens):
    """The same word with a space before it instead of none, or without it: `prob` and `rank` in the model's output."""

    word: str
    prob: float
    rank: int


class WordCurve(WordTokens):
    """One word over the layers, by its first token. `word` is what is measured, `typed` what was asked for."""

    word: str
    typed: str
    other: OtherVariant | None = None
    prob: list[float]
    rank: list[int]
    """0 = the layer's first choice."""


class WordCurves(ResponseModel):
    """Probabilities of each word by the lens after `position`, a number for each of `layers`."""

    position: int
    layers: list[int]
    words: list[WordCurve]


async def follow(
    pair: LoadedPair,
    analysis: Analysis,
    position: int,
    words: Sequence[str],
    lens: WhichLens = "plain",
    variant: WhichVariant = "exact",
) -> WordCurves:
    """One pass through the target. A word that begins with a space is always exact.

    Raises BadInput for a position, word or lens that there is not, Conflict where there is no text of this pair.
    """
    _check(pair, analysis, position, words)
    if lens == "tuned" and not pair.target.has_tuned_lens:
        raise BadInput(
            "lens",
            f"The pair {pair.name} has no tuned lens: name its file as tuned_lens in NLA_PAIRS_FILE, or ask "
            f"the plain one.",
        )
    both = [(word, *other_variant(word)) for word in words]
    found = [(word, tokens_of(pair.prompter, word)) for variants in both for word in variants]
    ids = [token.id for token in analysis.tokens[: position + 1]]
    firsts = [tokens.id for _, tokens in found]
    prob, rank = await pair.target.token_curves(ids, firsts, tuned=lens == "tuned")
    curves = iter(
        WordCurve(word=word, typed=word, prob=prob[:, n].tolist(), rank=rank[:, n].tolist(), **dict(tokens))
        for n, (word, tokens) in enumerate(found)
    )
    measured = [[next(curves) for _ in variants] for variants in both]
    return WordCurves(
        position=position,
        layers=list(range(len(prob))),
        words=[_measured(variants, variant) for variants in measured],
    )


def other_variant(word: str) -> list[str]:
    """The variant of a word that differs in the space before it; none of a word that is nothing but blanks."""
    other = word[1:] if word.startswith(" ") else " " + word
    return [other] if word.strip() else []


def _measured(variants: Sequence[WordCurve], variant: WhichVariant) -> WordCurve:
    """The word as given comes first; where the likelier is asked for and it has no space, the other may be taken."""
    asked, *others = variants
    if not others:
        return asked
    (other,) = others
    if variant == "likelier" and asked.variant == "plain" and other.prob[-1] > asked.prob[-1]:
        asked, other = other, asked
    tokens = {**dict(other), "prob": other.prob[-1], "rank": other.rank[-1]}
    return asked.model_copy(update={"typed": variants[0].word, "other": OtherVariant(**tokens)})


def tokens_of(prompter: Prompter, word: str) -> WordTokens:
    """The tokens of a word exactly as it is given: a leading space is a part of it."""
    ids = prompter.word(word)
    return WordTokens(
        id=ids[0],
        token=prompter.token_text(ids[0]),
        parts=[prompter.token_text(id) for id in ids],
        ids=ids,
        variant="space" if word.startswith(" ") else "plain",
    )


def _check(pair: LoadedPair, analysis: Analysis, position: int, words: Sequence[str]) -> None:
    if analysis.pair != pair.name:
        raise Conflict(f"This analysis is of {analysis.pair}; the server holds {pair.name} at the moment.")
    if not analysis.tokens:
        raise Conflict("The tokens are not known yet.")
    if not 0 <= position < len(analysis.tokens):
        last = len(analysis.tokens) - 1
        raise BadInput("position", f"There is no position {position}: the text ends at {last}.")
    if not words:
        raise BadInput("word", "Name at least one word; a leading space is a part of it.")
    if len(words) > MOST:
        raise BadInput("word", f"{len(words)} words; up to {MOST} can be compared at once.")
    lengths = f"A word has 1 to {LONGEST} characters."
    wrong = [FieldError(f"word.{n}", lengths) for n, w in enumerate(words) if not 1 <= len(w) <= LONGEST]
    if wrong:
        raise BadInput(wrong[0].field, wrong[0].detail, *wrong[1:])
