"""Sentences about a word along the text: when the model expected it, and when readings mentioned it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from frontend import formatting
from server.analyses.schema import Analysis
from server.measurements.schema import MentionCount, TrackedWord, WordMentions


def facts(analysis: Analysis, word: TrackedWord, mentions: WordMentions) -> list[str]:
    """The sentences, each with what it is to be held against."""
    return [*_expected(analysis, word, mentions.written), *_mentioned(analysis, mentions)]


def _expected(analysis: Analysis, word: TrackedWord, written: Sequence[int]) -> Iterator[str]:
    count = len(analysis.tokens)
    if not written:
        yield "The text does not have this word."
        yield from _highest(analysis, word, count, "Anywhere in it")
        return
    first = written[0]
    times = "once, at" if len(written) == 1 else f"{len(written)} times, first at"
    yield f"The text has this word {times} token {first}."
    if first:
        yield (
            f"Right before it, after {_at(analysis, first - 1)}, the model's output gives it "
            f"{formatting.small(word.whole[first - 1])}."
        )
        yield from _highest(analysis, word, first - 1, "Earlier than that")


def _highest(analysis: Analysis, word: TrackedWord, end: int, where: str) -> Iterator[str]:
    """Say how likely the word was at most after the tokens before `end`, by the output and by a layer below it."""
    if end < 1:
        return
    output = np.asarray(word.whole[:end])
    best = int(output.argmax())
    said = f"{where}, the output gives it at most {formatting.small(float(output[best]))} (after {_at(analysis, best)})"
    below = np.asarray(word.prob, np.float64)[:-1, :end]
    if below.size:
        layer, position = np.unravel_index(below.argmax(), below.shape)
        high = formatting.small(float(below[layer, position]))
        of = "its first token" if len(word.parts) > 1 else "it"
        where = f"layer {layer}, after {_at(analysis, int(position))}"
        said += f", and the lens of a layer below gives {of} at most {high} ({where})"
    yield said + "."


def _mentioned(analysis: Analysis, mentions: WordMentions) -> Iterator[str]:
    before, after, elsewhere = mentions.before, mentions.after, mentions.elsewhere
    if not before.of + after.of:
        yield "The text has no readings yet."
        return
    said = []
    if before.of:
        where = "Before it" if mentions.written else "Along the whole text"
        said.append(f"{where}, {_of(before)} mention it")
        if before.n:
            said[-1] += f" (first that of {_at(analysis, mentions.readings[0].position)})"
    if after.of:
        said.append(f"{'from' if said else 'From'} there on, {_of(after)} mention it")
    yield "; ".join(said) + "."
    if elsewhere.of:
        yield (
            f"By chance: of what this pair has read in other texts, {_of(elsewhere)} mention it. Neighbouring readings "
            "are not independent of each other."
        )
    else:
        yield "There are no readings of other texts yet against which to hold this."


def _of(count: MentionCount) -> str:
    """`3 of 32 readings (9 %)`."""
    share = f" ({formatting.percent(count.n / count.of)})" if count.n else ""
    return f"{count.n:,} of {count.of:,} readings{share}"


def _at(analysis: Analysis, position: int) -> str:
    text = formatting.quoted(analysis.tokens[position].text, 24) or "\u2205"
    return f"token {position}, \u201c{text}\u201d"
