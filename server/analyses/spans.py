"""Spans: neighbouring tokens whose readings agree, found by words that few other readings of the text have."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby

LEAST = 3.0
"""A run of n readings of N becomes a span if it weighs at least this many times ln N."""
SHUFFLES = 5
"""Orders in which the same readings are merged for `by_chance`."""

Words = Set[str]


@dataclass(frozen=True)
class Span:
    """Neighbouring tokens, first to last, the words that all of their readings have, and the weight of those."""

    first: int
    last: int
    words: frozenset[str]
    weight: float


def spans(
    stretches: Sequence[Sequence[tuple[int, Words]]], frequency: Mapping[str, int], n: int
) -> list[Span]:
    """Merge neighbours within `stretches` of (position, words of its reading); `frequency` says in how many of all `n`
    readings of the text a word stands.

    A word that all readings of a run of neighbours have weighs -ln of the chance that as many readings, drawn from the
    text, all have it (hypergeometric). The run weighs as much as the heaviest of its words, half the next one, a
    quarter of the one after that and so on: words of one phrase come together. The heaviest run becomes a span, then
    the heaviest of what is left; of equals the earlier one.
    """
    return sorted(
        (span for stretch in stretches for span in _of_stretch(stretch, frequency, n)),
        key=lambda span: span.first,
    )


def _of_stretch(stretch: Sequence[tuple[int, Words]], frequency: Mapping[str, int], n: int) -> Iterator[Span]:
    least = LEAST * math.log(max(n, 2))
    queue = [_weighed(stretch, run, frequency, n) for run in _runs([words for _, words in stretch])]
    queue = [run for run in queue if run[0] <= -least]
    heapq.heapify(queue)
    taken = [False] * len(stretch)
    while queue:
        weight, (first, last), words = heapq.heappop(queue)
        pieces = list(_untaken(taken, first, last))
        if pieces == [(first, last)]:
            taken[first : last + 1] = [True] * (last + 1 - first)
            yield Span(stretch[first][0], stretch[last][0], frozenset(words), -weight)
            continue
        for piece in pieces:
            left = _weighed(stretch, piece, frequency, n)
            if left[0] <= -least:
                heapq.heappush(queue, left)


def _untaken(taken: Sequence[bool], first: int, last: int) -> Iterator[tuple[int, int]]:
    """The runs of two and more between two indices that are in no span yet."""
    for free, inside in groupby(range(first, last + 1), key=lambda n: not taken[n]):
        run = list(inside)
        if free and len(run) > 1:
            yield run[0], run[-1]


def by_chance(
    stretches: Sequence[Sequence[tuple[int, Words]]], frequency: Mapping[str, int], n: int
) -> float:
    """The null: how many tokens stand in spans when the same readings stand in another order, in the mean."""
    draw = random.Random(0)
    readings = [words for stretch in stretches for _, words in stretch]
    merged = 0
    for _ in range(SHUFFLES):
        draw.shuffle(readings)
        dealt = iter(readings)
        shuffled = [[(position, next(dealt)) for position, _ in stretch] for stretch in stretches]
        merged += sum(span.last - span.first + 1 for span in spans(shuffled, frequency, n))
    return merged / SHUFFLES


def _runs(readings: Sequence[Words]) -> set[tuple[int, int]]:
    """First and last index of each longest run of neighbours that share a word."""
    found: set[tuple[int, int]] = set()
    since: dict[str, int] = {}
    for n, words in enumerate([*readings, frozenset[str]()]):
        for word in since.keys() - words:
            first = since.pop(word)
            if n - first > 1:
                found.add((first, n - 1))
        for word in words:
            since.setdefault(word, n)
    return found


def _weighed(
    stretch: Sequence[tuple[int, Words]], run: tuple[int, int], frequency: Mapping[str, int], n: int
) -> tuple[float, tuple[int, int], list[str]]:
    """The weight of a run of indices, negative so that the heaviest comes first, the run, and the words it shares."""
    first, last = run
    shared = sorted(set(stretch[first][1]).intersection(*(w for _, w in stretch[first + 1 : last + 1])))
    each = sorted((_surprise(last - first + 1, frequency[word], n) for word in shared), reverse=True)
    return -sum(weight / 2**i for i, weight in enumerate(each)), run, shared


def _surprise(length: int, having: int, n: int) -> float:
    """-ln of the chance that `length` of `n` readings, drawn at random, are all among the `having` that have a word."""
    return sum(math.log((n - i) / (having - i)) for i in range(length))
