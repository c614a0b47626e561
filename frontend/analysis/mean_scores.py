"""Mean scores of some tokens, by the measure that colours the text; each token counts once, whatever its samples."""

from __future__ import annotations

from collections.abc import Sequence

from frontend import formatting
from frontend.analysis.tokens import token_score
from frontend.analysis.view import View


def of(view: View, positions: Sequence[int]) -> list[float]:
    """List the scores of those of the tokens that have one."""
    return [score for p in positions if (score := token_score(view, p)) is not None]


def figure(view: View, scores: Sequence[float]) -> str:
    """A mean score as a figure; empty of none."""
    if not scores:
        return ""
    mean = sum(scores) / len(scores)
    return formatting.number(mean) if _is_cosine(view) else formatting.percent(mean)


def sentence(view: View, scores: Sequence[float]) -> str:
    """A mean score as the end of a sentence: `hold 61 % on average`."""
    shown = figure(view, scores)
    if _is_cosine(view):
        return f"cosine {shown} on average"
    return f"{'undo' if view.by == 'causal' else 'hold'} {shown} on average"


def _is_cosine(view: View) -> bool:
    """Return whether the colours show the cosine: the pair's variance is not known."""
    return view.by == "score" and not any(r.fve is not None for r in view.analysis.readings)
