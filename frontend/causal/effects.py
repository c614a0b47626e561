"""Causal scores in words: of one reading, and of its controls."""

from __future__ import annotations

from collections.abc import Iterator

from frontend import formatting
from frontend.analysis.view import View
from frontend.causal.contexts import EffectRow, EffectsContext
from server.analyses.schema import Reading
from server.measurements.schema import CausalScore, CausalSummary, ControlSummary, Effect

NAMES = {
    "reading": (
        "this reading",
        "The activation that the words turn back into, at the activation's own length.",
    ),
    "other": (
        "another reading, at the same angle",
        "The reading of another token of this text, turned until it is as far from the activation as this reading is: "
        "the null that a reading must beat.",
    ),
    "shuffled": ("another reading, as it is", "The reading of another token of this text."),
    "mean": (
        "the text's mean activation",
        "The mean direction of this text's other content tokens: what a score of 0 means.",
    ),
    "random": (
        "a random direction, at the same angle",
        "It does little, since the model hardly looks there: a floor, and no null.",
    ),
}


def effects(view: View, reading: Reading) -> EffectsContext | None:
    """The causal score of a reading; None where it has not been measured."""
    found = view.causal_scores.get((reading.position, reading.sample))
    if found is None:
        return None
    return EffectsContext(
        headline=headline(found),
        bin=formatting.score_bin(found.score, found.score),
        rows=list(_rows(found)),
        horizon=view.horizon,
    )


def headline(score: CausalScore) -> str:
    """One reading's causal score in words."""
    if score.mean is None:
        return "Not compared: this text has no other content token to take a mean of."
    if score.score is None:
        return "What stands here hardly matters: even the mean activation does not change the next token."
    if score.score < 0.005:
        return "In the activation\u2019s place it is no better for the next token than the text\u2019s mean activation."
    undone = formatting.percent(score.score)
    return (
        f"In the activation\u2019s place it undoes {undone} of what the text\u2019s mean activation breaks."
    )


def summary_rows(summary: CausalSummary) -> Iterator[EffectRow]:
    """The means over the content of a text."""
    for name, (label, explained) in NAMES.items():
        found: ControlSummary | None = getattr(summary, name)
        if found is not None:
            yield EffectRow(
                name="the readings" if name == "reading" else label,
                explained=explained,
                score=formatting.percent(found.score),
                kl=formatting.number(found.kl),
                after=formatting.number(found.kl_after, 3),
                kept=formatting.percent(found.kept),
            )


def _rows(score: CausalScore) -> Iterator[EffectRow]:
    for name, (label, explained) in NAMES.items():
        effect: Effect | None = getattr(score, name)
        if effect is not None:
            yield EffectRow(
                name=label,
                explained=explained,
                score="",
                kl=formatting.number(effect.kl),
                after=formatting.number(effect.kl_after, 3),
                kept="kept" if effect.kept else "changed",
            )
