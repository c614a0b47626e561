"""A range of tokens: how much its readings hold, what recurs in them, and what can be made of it."""

from __future__ import annotations

from collections import Counter

from frontend import formatting
from frontend.analysis import mean_scores, shared_words
from frontend.analysis.text_contexts import RangeContext
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.urls import urls
from server.errors import BadInput
from server.vectors.schema import NAME, TERMS

SHOWN = 80
"""Letters of a range's text that are shown."""
WORDS = 8
"""Recurring words that are shown."""


def range_context(view: View, first: int, last: int) -> RangeContext:
    """The tokens from `first` to `last`. Raises BadInput for a range that is not of this text."""
    a = view.analysis
    if not 0 <= first <= last < len(a.tokens):
        raise BadInput("last", f"There are no tokens {first} to {last}: the text has {len(a.tokens)}.")
    positions = range(first, last + 1)
    count = len(positions)
    return RangeContext(
        title=f"{formatting.counted(count, 'token')}, {first} to {last}",
        text=formatting.quoted("".join(a.tokens[p].text for p in positions), SHOWN),
        held=_held(view, positions),
        recurring=_recurring(view, positions),
        terms="\n".join(f"1 {urls.analysis(a.id)}?t={p}" for p in positions)
        if _has_mean(view, count)
        else "",
        name=f"the mean of {token_name(view, first)} to {token_name(view, last)}"[:NAME],
        again=urls.samples(a.id, first, last) if a.lens is not None else "",
    )


def _has_mean(view: View, count: int) -> bool:
    return view.analysis.lens is not None and count <= TERMS


def _held(view: View, positions: range) -> str:
    """The mean score of the range's content, beside that of the rest of the text."""
    content = [token.position for token in view.analysis.tokens if token.content]
    inside = mean_scores.of(view, [p for p in content if p in positions])
    outside = mean_scores.of(view, [p for p in content if p not in positions])
    if not inside:
        return "No reading of content here has a score."
    beside = (
        f"; of the rest of the text {mean_scores.figure(view, outside)} (of {len(outside)})"
        if outside
        else ""
    )
    return f"Tokens of content: {mean_scores.sentence(view, inside)} (of {len(inside)}){beside}."


def _recurring(view: View, positions: range) -> list[tuple[str, str, str]]:
    """Words that more than half of the range's readings have and not half of the text's, the most frequent first; and
    in how many readings of the range, and of the rest.
    """
    found = {
        p: shared_words.words(readings[0].text)
        for p, readings in view.by_position.items()
        if readings[0].text
    }
    inside = [words for p, words in found.items() if p in positions]
    outside = [words for p, words in found.items() if p not in positions]
    if len(inside) < 2:
        return []
    counts = Counter(word for words in inside for word in words - view.usual)
    return [
        (
            formatting.plain(word),
            f"{n} of {len(inside)}",
            f"{sum(word in words for words in outside)} of {len(outside)}",
        )
        for word, n in counts.most_common(WORDS)
        if n > len(inside) / 2
    ]
