"""Causal scores in the analysis that they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.analyses.schema import Analysis, AnalysisCausal, CausalShare, ReadingCausal
from server.measurements.form import Units, interval, units_of
from server.measurements.schema import CausalScore, Effect, Measurement, PendingMeasurement


def with_causal(analysis: Analysis, measured: Measurement | PendingMeasurement | None) -> Analysis:
    """The analysis, its readings with their causal scores, as far as they have been measured, and, once all have, the
    summary.
    """
    if measured is None:
        return analysis
    scores = {(score.position, score.sample): score for score in measured.scores}
    readings = [
        reading.model_copy(update={"causal": _causal(score)})
        if (score := scores.get((reading.position, reading.sample))) is not None
        else reading
        for reading in analysis.readings
    ]
    if isinstance(measured, PendingMeasurement):
        return analysis.model_copy(update={"readings": readings})
    inside = {token.position for token in analysis.tokens if token.content}
    content = [score for score in measured.scores if score.position in inside]
    summary = _summary(content, units_of(analysis.tokens))
    return analysis.model_copy(update={"readings": readings, "causal_summary": summary})


def _causal(score: CausalScore) -> ReadingCausal:
    return ReadingCausal(
        kl=score.reading.kl,
        kl_mean=_kl(score.mean),
        kl_shuffled=_kl(score.shuffled),
        kl_other=_kl(score.other),
        kl_random=_kl(score.random),
        share=score.score,
        kept=score.reading.kept,
    )


def _kl(effect: Effect | None) -> float | None:
    return None if effect is None else effect.kl


def _summary(scores: Sequence[CausalScore], units: Units) -> AnalysisCausal:
    counted = {units.of[score.position] for score in scores}
    return AnalysisCausal(
        **vars(_share(scores, "reading", units)),
        unit=units.name,
        units=len(counted),
        null=_share(scores, "other", units),
        shuffled=_share(scores, "shuffled", units),
        random=_share(scores, "random", units),
    )


def _share(scores: Sequence[CausalScore], name: str, units: Units) -> CausalShare:
    """The share of the damage that is undone, over the readings that have this control and a mean."""
    rows = [
        (effect.kl, score.mean.kl, units.of[score.position])
        for score in scores
        if (effect := getattr(score, name)) is not None and score.mean is not None
    ]
    mean = np.asarray([row[1] for row in rows])
    if not rows or mean.sum() <= 0:
        return CausalShare(share=None, interval=None, n=len(rows))
    undone = mean - np.asarray([row[0] for row in rows])
    return CausalShare(
        share=float(undone.sum() / mean.sum()),
        interval=interval(undone, mean, [row[2] for row in rows]),
        n=len(rows),
    )
