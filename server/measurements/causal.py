"""Causal scores: what the model does when the reconstruction of a reading takes the place of the activation.

A round-trip score says how much of an activation's direction the words hold, a causal score how much of what the model
does with it. Isotropic noise at the same angle is causally mild, so the null is another reading at the same angle.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from server.measurements.inputs import Key, MeasurementInputs, ScoredReading, Vector
from server.measurements.schema import (
    CONTROLS,
    CausalScore,
    CausalSummary,
    ControlSummary,
    Effect,
)

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

TOO_LITTLE = 0.01
"""Nats of damage by the mean below which there is nothing to undo, and no score."""


@dataclass(frozen=True)
class CausalScores:
    """The scores of all readings, in the order of their positions, and their summaries."""

    scores: list[CausalScore]
    content: CausalSummary | None
    left_out: CausalSummary | None


async def measure(
    pair: LoadedPair, inputs: MeasurementInputs, known: Mapping[Key, CausalScore] | None = None
) -> AsyncGenerator[tuple[int, int] | list[CausalScore] | CausalScores]:
    """Yield the scores in the order of their positions as they are measured, some at a time, each time followed by
    (patches that have been run, all patches), then all scores with their summaries. `known` scores are not measured
    again. Raises what the target raises.
    """
    known = known or {}
    every = sorted(inputs.readings, key=lambda reading: reading.key)
    readings = [reading for reading in every if reading.key not in known]
    names, positions, vectors = _rows(inputs, readings, every)
    scores = list(known.values())
    done = sum(getattr(score, name) is not None for score in scores for name in ("reading", *CONTROLS))
    total = done + len(positions)
    yield done, total
    effects: list[Effect] = []  # of readings of which not all patches have been run
    following = iter(zip(readings, names, strict=True))
    reading, own = next(following, (None, []))
    horizon = inputs.request.horizon
    if positions:
        async for batch in pair.target.patch_each(inputs.ids, positions, np.stack(vectors), horizon):
            for kls, loss, kept in zip(batch.kls, batch.losses, batch.kept, strict=True):
                effects.append(_effect(kls, float(loss), bool(kept)))
            done += len(batch.kept)
            whole = []
            while reading is not None and len(effects) >= len(own):
                whole.append(_score(reading.key, dict(zip(own, effects, strict=False))))
                del effects[: len(own)]
                reading, own = next(following, (None, []))
            if whole:
                scores += whole
                yield whole
            yield done, total
    scores.sort(key=lambda score: (score.position, score.sample))
    cosines = {reading.key: reading.cos for reading in every}
    yield CausalScores(
        scores,
        content=_summary([s for s in scores if s.position in inputs.content], cosines),
        left_out=_summary([s for s in scores if s.position not in inputs.content], cosines),
    )


def _rows(
    inputs: MeasurementInputs, readings: Sequence[ScoredReading], every: Sequence[ScoredReading]
) -> tuple[list[list[str]], list[int], list[Vector]]:
    """The controls of each reading, and the position and the vector of each patch, in this order. Other readings are
    drawn from `every` one.
    """
    pool = [reading for reading in every if reading.key[0] in inputs.content]
    names: list[list[str]] = []
    positions: list[int] = []
    vectors: list[Vector] = []
    for reading in readings:
        mean = inputs.mean(reading.key[0])
        made = {"reading": reading.vector, "mean": mean, **_drawn(inputs, reading, pool)}
        usable = {name: v for name, v in made.items() if np.isfinite(v).all() and np.any(v)}
        names.append(list(usable))
        positions += [reading.key[0]] * len(usable)
        vectors += [np.asarray(vector, np.float32) for vector in usable.values()]
    return names, positions, vectors


def _drawn(
    inputs: MeasurementInputs, reading: ScoredReading, pool: Sequence[ScoredReading]
) -> Mapping[str, Vector]:
    """The controls that are drawn: another reading of other words, as it is and turned, and a random direction."""
    from server.nla.patching.patches import at_same_angle, random_controls, replacing

    h = inputs.activations[reading.key[0]]
    random = np.random.default_rng([inputs.request.seed % 2**63, *reading.key])
    own = replacing(reading.key[0], reading.vector)
    found: dict[str, Vector] = {}
    others = [o for o in pool if o.key[0] != reading.key[0] and o.text != reading.text]
    if others:
        other = others[int(random.integers(len(others)))].vector
        found["shuffled"] = other
        with suppress(ValueError):  # it may point along the activation, and has no side to turn to then
            found["other"] = at_same_angle(own, h, other).direction
    found["random"] = random_controls(own, h, 1, int(random.integers(2**32)))[0].direction
    return found


def _effect(kls: NDArray[np.floating], loss: float, kept: bool) -> Effect:
    after = kls[1:][np.isfinite(kls[1:])]
    return Effect(
        kl=float(kls[0]),
        kl_after=float(after.mean()) if len(after) else None,
        loss=None if np.isnan(loss) else loss,
        kept=kept,
    )


def _score(key: Key, effects: Mapping[str, Effect]) -> CausalScore:
    reading, mean = effects["reading"], effects.get("mean")
    return CausalScore(
        position=key[0],
        sample=key[1],
        score=None if mean is None else _undone(reading.kl, mean.kl),
        after=None if mean is None else _undone(reading.kl_after, mean.kl_after),
        **effects,
    )


def _undone(kl: float | None, mean: float | None) -> float | None:
    """The share of the mean's damage that is undone."""
    return None if kl is None or mean is None or mean < TOO_LITTLE else 1 - kl / mean


def _summary(scores: Sequence[CausalScore], cosines: Mapping[Key, float]) -> CausalSummary | None:
    """Sum up those that have a mean to be compared with."""
    whole = [score for score in scores if score.mean is not None]
    reading = _control(whole, "reading")
    if reading is None:
        return None
    return CausalSummary(
        reading=reading,
        **{name: _control(whole, name) for name in CONTROLS},
        correlation=_spearman(
            [(cosines[s.position, s.sample], s.score) for s in whole if s.score is not None]
        ),
    )


def _control(scores: Sequence[CausalScore], name: str) -> ControlSummary | None:
    """Sums over the positions at which the control is, against the mean's at the same ones."""
    both = [
        (effect, s.mean) for s in scores if (effect := getattr(s, name)) is not None and s.mean is not None
    ]
    if not both:
        return None
    after = [(e.kl_after, m.kl_after) for e, m in both if e.kl_after is not None and m.kl_after is not None]
    losses = [e.loss for e, _ in both if e.loss is not None]
    return ControlSummary(
        n=len(both),
        score=_undone(_mean([e.kl for e, _ in both]), _mean([m.kl for _, m in both])),
        after=_undone(_mean([kl for kl, _ in after]), _mean([kl for _, kl in after])),
        kl=float(np.mean([e.kl for e, _ in both])),
        kl_after=_mean([kl for kl, _ in after]),
        loss=_mean(losses),
        kept=float(np.mean([e.kept for e, _ in both])),
    )


def _mean(numbers: Sequence[float]) -> float | None:
    return float(np.mean(numbers)) if len(numbers) else None


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation, equal values at their mean rank; None of fewer than three, or of equal ones."""
    if len(pairs) < 3:
        return None
    first, second = (_ranks(np.asarray(values)) for values in zip(*pairs, strict=True))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.floating]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which])
