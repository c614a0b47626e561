"""Two analyses, or two samples of one, beside each other token by token."""

from __future__ import annotations

from dataclasses import dataclass, replace

from frontend import formatting
from frontend.analysis import shared_words
from frontend.analysis.reading import reading_context
from frontend.analysis.text_contexts import RowContext
from frontend.analysis.token_names import token_name
from frontend.analysis.tokens import rows
from frontend.analysis.view import View
from frontend.compare.contexts import CompareContext, DifferenceContext, SideContext
from frontend.compare.score_gap import gap_sentence
from frontend.urls import urls
from server.analyses.alignment import Pairs, aligned, shared_prefix
from server.analyses.schema import Analysis, Reading

ROWS = 8
"""Tokens that are named where the two differ most."""
NO_COUNTERPART = "Nothing stands beside it: the other text has no counterpart of this token."


@dataclass(frozen=True)
class Side:
    """One of the two: an analysis and which of its samples."""

    analysis: Analysis
    sample: int

    def readings(self) -> dict[int, Reading]:
        """Its readings by position."""
        return {r.position: r for r in self.analysis.readings if r.sample == self.sample}


def compare(a: Side, b: Side, pinned_a: int | None, pinned_b: int | None) -> CompareContext:
    """The page. A position pinned on one side pins its counterpart on the other, if there is one."""
    tokens = a.analysis.tokens, b.analysis.tokens
    by_text = a.analysis.pair != b.analysis.pair
    pairs = aligned(*tokens, by_text=by_text)
    prefix = shared_prefix(*tokens, by_text=by_text)
    beside = sorted({*pairs, *((n, n) for n in range(prefix))})
    pinned = _pinned(a, b, beside, pinned_a, pinned_b)
    sides = a.readings(), b.readings()
    both = [None if p is None else side.get(p) for p, side in zip(pinned, sides, strict=True)]
    texts = [r.text if r else "" for r in both]
    usual = View(a.analysis).usual | View(b.analysis).usual
    marked = shared_words.shared(texts, usual) if all(texts) else [set(), set()]
    # The same tokens before the first that differs have the same activations: what they show is no difference of texts.
    left_out = prefix if not by_text and prefix < max(map(len, tokens)) else 0
    counted = [(p, q) for p, q in pairs if p >= left_out]
    return CompareContext(
        sides=[
            _side(side, other, "ab"[n], pinned[n], {pair[n] for pair in beside}, both[n], marked[n])
            for n, (side, other) in enumerate(((a, b), (b, a)))
        ],
        alike=_alike(a, b, pairs, left_out),
        difference=gap_sentence(
            [(sides[0].get(p), sides[1].get(q)) for p, q in counted], one_text=prefix == max(map(len, tokens))
        ),
        rows=_rows_of_difference(a, b, counted),
        marked=any(marked),
        swap=urls.compare(b.analysis.id, a.analysis.id, b.sample, a.sample),
    )


def _pinned(
    a: Side, b: Side, beside: Pairs, on_a: int | None, on_b: int | None
) -> tuple[int | None, int | None]:
    """The pinned positions. When nobody chose: A's focus, or the last token that has a counterpart."""
    counts = len(a.analysis.tokens), len(b.analysis.tokens)
    if not all(counts):
        return None, None
    across = dict(beside)
    if on_b is not None and on_a is None:
        q = min(on_b, counts[1] - 1)
        return {y: x for x, y in beside}.get(q), q
    if on_a is not None:
        p = min(on_a, counts[0] - 1)
        return p, across.get(p)
    focus = a.analysis.focus if a.analysis.focus is not None else counts[0] - 1
    p = focus if focus in across or not beside else beside[-1][0]
    return p, across.get(p)


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
        token="" if pinned is None else token_name(view, pinned),
        position=pinned,
        reading=None if reading is None else reading_context(view, reading, marked),
        note=NO_COUNTERPART
        if pinned is None and a.tokens and other.analysis.tokens
        else "This position was not read.",
        state="" if a.tokens else "Its tokens are not known yet.",
    )


def _rows(
    view: View, side: Side, other: Side, name: str, pinned: int | None, same: set[int]
) -> list[RowContext]:
    """The side's text, each token a link that pins it here and its counterpart there."""
    a, b = (side, other) if name == "a" else (other, side)
    found = []
    for row in rows(view):
        tokens = []
        for token in row.tokens:
            t, u = (token.position, None) if name == "a" else (None, token.position)
            href = urls.compare(a.analysis.id, b.analysis.id, a.sample, b.sample, t, u)
            special = side.analysis.tokens[token.position].special
            classes = token.classes + ("" if special or token.position in same else " differs")
            tokens.append(
                replace(token, href=href, panel="", classes=classes, pinned=token.position == pinned)
            )
        found.append(replace(row, tokens=tokens))
    return found


def _alike(a: Side, b: Side, pairs: Pairs, left_out: int) -> str:
    left, right = ([t for t in side.analysis.tokens if t.content] for side in (a, b))
    if len(left) == len(right) == len(pairs) and not left_out:
        return f"Both have the same {len(left)} tokens of content."
    said = (
        f"A has {len(left)} tokens of content, B {len(right)}; {len(pairs)} are the same, in the same order "
        f"and by the same "
        "speaker. Tokens that the other side lacks are underlined, and nothing stands beside them."
    )
    if left_out:
        said += (
            f" The first {left_out} tokens, the template's included, are the same in both and so are their "
            f"activations: "
            "they count in no figure here."
        )
    return said


def _rows_of_difference(a: Side, b: Side, pairs: Pairs) -> list[DifferenceContext]:
    """The tokens whose readings differ most in what they hold, the largest difference first."""
    left, right = a.readings(), b.readings()
    view = View(a.analysis)
    found = []
    for p, q in pairs:
        one, other = left.get(p), right.get(q)
        if one is None or other is None or one.fve is None or other.fve is None:
            continue
        found.append(
            (
                abs(one.fve - other.fve),
                DifferenceContext(
                    name=token_name(view, p),
                    href=urls.compare(a.analysis.id, b.analysis.id, a.sample, b.sample, p, q),
                    a=formatting.percent(one.fve),
                    b=formatting.percent(other.fve),
                    gap=formatting.points(one.fve - other.fve),
                ),
            )
        )
    return [row for _, row in sorted(found, key=lambda each: -each[0])[:ROWS]]
