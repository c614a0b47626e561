"""Two analyses, or two samples of one, beside each other token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np

from frontend import agreement, wording
from frontend.contexts.compare import CompareContext, SideContext
from frontend.contexts.panel import ReadingContext
from frontend.contexts.text import RowContext
from frontend.panel import reading_context
from frontend.urls import urls
from frontend.view import View
from server.analyses.schema import Analysis, Reading, Token

DRAWS = 2000
"""Resamples of the interval."""


@dataclass(frozen=True)
class Side:
    """One of the two: an analysis and which of its samples."""

    analysis: Analysis
    sample: int

    def readings(self) -> dict[int, Reading]:
        """Its readings by position."""
        return {r.position: r for r in self.analysis.readings if r.sample == self.sample}


def aligned(a: Sequence[Token], b: Sequence[Token], *, by_text: bool = False) -> list[tuple[int, int]]:
    """Pairs of positions that hold the same token in the same order (the longest common blocks, as a diff has them).

    Two tokenizers number their tokens otherwise: theirs are the same `by_text`.
    """
    left, right = ([t.text if by_text else t.id for t in tokens] for tokens in (a, b))
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    return [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]


def compare(a: Side, b: Side, pinned_a: int | None, pinned_b: int | None) -> CompareContext:
    """The page. A position pinned on one side pins its counterpart on the other, the nearest where there is none."""
    other_words = a.analysis.pair != b.analysis.pair
    pairs = aligned(a.analysis.tokens, b.analysis.tokens, by_text=other_words)
    pinned = _pinned(a, b, pairs, pinned_a, pinned_b)
    left, right = a.readings(), b.readings()
    both = [left.get(pinned[0]) if pinned else None, right.get(pinned[1]) if pinned else None]
    texts = [r.text if r else "" for r in both]
    usual = View(a.analysis).usual | View(b.analysis).usual
    marked = agreement.shared(texts, usual) if all(texts) else [set(), set()]
    return CompareContext(
        sides=[
            _side(
                side, other, "ab"[n], pinned[n] if pinned else None, {p[n] for p in pairs}, both[n], marked[n]
            )
            for n, (side, other) in enumerate(((a, b), (b, a)))
        ],
        alike=_alike(a, b, pairs),
        difference=_difference([(left.get(p), right.get(q)) for p, q in pairs]),
        marked=any(marked),
        swap=urls.compare(b.analysis.id, a.analysis.id, b.sample, a.sample),
    )


def _pinned(
    a: Side, b: Side, pairs: Sequence[tuple[int, int]], on_a: int | None, on_b: int | None
) -> tuple[int, int] | None:
    counts = len(a.analysis.tokens), len(b.analysis.tokens)
    if not all(counts):
        return None
    if on_b is not None and on_a is None:
        q = min(on_b, counts[1] - 1)
        return _counterpart(q, [(y, x) for x, y in pairs], counts[0]), q
    focus = a.analysis.focus if on_a is None else on_a
    p = min(focus if focus is not None else counts[0] - 1, counts[0] - 1)
    return p, _counterpart(p, pairs, counts[1])


def _counterpart(position: int, pairs: Sequence[tuple[int, int]], count: int) -> int:
    """The position beside `position`: its own pair's, or as far behind the last pair before it as it is itself."""
    before = [(p, q) for p, q in pairs if p <= position]
    p, q = before[-1] if before else (0, 0)
    return min(count - 1, q + position - p)


def _side(
    side: Side,
    other: Side,
    name: str,
    pinned: int | None,
    same: set[int],
    reading: Reading | None,
    marked: set[str],
) -> SideContext:
    a = side.analysis.model_copy(update={"readings": list(side.readings().values())})
    view = View(a)
    pair = f"{a.pair}, layer {a.layer}" if a.layer is not None else a.pair
    return SideContext(
        name=name,
        title=view.title,
        href=urls.analysis(a.id),
        facts=[pair, *([f"sample {side.sample + 1}"] if side.sample or a.id == other.analysis.id else [])],
        rows=_rows(view, side, other, name, pinned, same),
        token="" if pinned is None else view.name(pinned),
        position=pinned,
        reading=_reading(view, reading, marked),
        state="" if a.tokens else "Its tokens are not known yet.",
    )


def _rows(
    view: View, side: Side, other: Side, name: str, pinned: int | None, same: set[int]
) -> list[RowContext]:
    """The side's text, each token a link that pins it here and its counterpart there."""
    a, b = (side, other) if name == "a" else (other, side)
    found = []
    for row in view.rows():
        tokens = []
        for token in row.tokens:
            t, u = (token.position, None) if name == "a" else (None, token.position)
            href = urls.compare(a.analysis.id, b.analysis.id, a.sample, b.sample, t, u)
            classes = token.classes + ("" if token.position in same else " differs")
            tokens.append(
                replace(token, href=href, panel="", classes=classes, pinned=token.position == pinned)
            )
        found.append(replace(row, tokens=tokens))
    return found


def _reading(view: View, reading: Reading | None, marked: set[str]) -> ReadingContext | None:
    return None if reading is None else reading_context(view, reading, marked)


def _alike(a: Side, b: Side, pairs: Sequence[tuple[int, int]]) -> str:
    counts = len(a.analysis.tokens), len(b.analysis.tokens)
    if counts[0] == counts[1] == len(pairs):
        return f"Both have the same {counts[0]} tokens."
    return (
        f"A has {counts[0]} tokens, B {counts[1]}; {len(pairs)} are the same in the same order. Tokens that the other "
        "side lacks are underlined; beside such a one stands what is nearest in place, not the same token."
    )


def _difference(pairs: Sequence[tuple[Reading | None, Reading | None]]) -> str:
    """The mean scores over the tokens that both sides read, and their difference with an interval."""
    scores = np.array(
        [(p.fve, q.fve) for p, q in pairs if p and q and p.fve is not None and q.fve is not None]
    )
    if len(scores) < 2:
        return ""
    gap = scores[:, 0] - scores[:, 1]
    rng = np.random.default_rng(0)
    means = gap[rng.integers(0, len(gap), (DRAWS, len(gap)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    mean = scores.mean(0)
    return (
        f"Over the {len(scores)} tokens that both read, A holds {wording.percent(float(mean[0]))} and B "
        f"{wording.percent(float(mean[1]))} of the activation: a difference of {wording.points(float(gap.mean()))} "
        f"(95 % interval {wording.points(float(low))} to {wording.points(float(high))}, bootstrap over tokens, which "
        "are not independent: the true interval is wider)."
    )
