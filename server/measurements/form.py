"""Meaning or form: what the readings of a text lose when their sentences or words change places, or their capitals go.

An AR may read words as a code in which order and spelling count, rather than as a text. What a reading loses when only
its form changes was never meaning. The units of the intervals are the turns of the text, or its sentences where there
are too few turns: tokens beside each other are not independent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from server.analyses.schema import Token
from server.measurements.form_scores import FormScores, PlacedText, score_forms
from server.measurements.forms import Form, reordered
from server.measurements.inputs import MeasurementInputs, ScoredReading
from server.measurements.schema import FormKind, FormLoss, FormResult, UnitName, VariantKind

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.scores import Score

Numbers = NDArray[np.float64]
KINDS: tuple[FormKind, ...] = get_args(FormKind)
LEAST_UNITS = 4
"""Units below which no interval is given."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Units:
    """The unit of each position, and what they are."""

    of: Sequence[int]
    name: UnitName


def units_of(tokens: Sequence[Token]) -> Units:
    """The units of a text's positions: its turns where at least LEAST_UNITS have content, else its sentences."""
    turns = _turns(tokens)
    if len({turns[token.position] for token in tokens if token.content}) >= LEAST_UNITS:
        return Units(turns, "turns")
    found, now = [], 0
    for n in range(len(tokens)):
        ended = n > 0 and tokens[n - 1].text.rstrip(" \"'”’)").endswith((".", "!", "?", "\n"))
        now += n > 0 and (ended or turns[n] != turns[n - 1])
        found.append(now)
    return Units(found, "sentences")


def _turns(tokens: Sequence[Token]) -> list[int]:
    """The turn of each token: a new one begins where the role changes, or the model begins to write."""
    found, now = [], 0
    for before, token in zip([*tokens[:1], *tokens], tokens, strict=False):
        now += (before.role, before.kind) != (token.role, token.kind)
        found.append(now)
    return found


@dataclass(frozen=True)
class Compared:
    """The forms of some readings beside the readings themselves. Of each reading: the round-trip score that it `held`
    (FVE, or the cosine where V is not known), KL in its activation's place, and KL(mean), NaN where there is no mean.
    Of each form: its reading's index, and its score, None where the AR makes no vector of it.
    """

    readings: Sequence[ScoredReading]
    scores: Sequence[Score | None]
    held: Numbers
    kl: Numbers
    mean_kl: Numbers
    forms: Sequence[tuple[int, Form, Score | None, float]]

    def losses(self, kind: VariantKind) -> tuple[Numbers, Numbers]:
        """Return what each reading loses in forms of this kind, in the mean: of its round-trip score, and in nats. NaN
        for a reading without such a form.
        """
        lost: list[list[tuple[float, float]]] = [[] for _ in self.readings]
        for n, form, score, kl in self.forms:
            if form.kind == kind and score is not None:
                lost[n].append((self.held[n] - held(score), kl - self.kl[n]))
        means = np.asarray([np.mean(each, 0) if each else (np.nan, np.nan) for each in lost])
        return means[:, 0], means[:, 1]


async def measure(
    pair: LoadedPair, inputs: MeasurementInputs, units: Units
) -> AsyncGenerator[tuple[int, int] | FormResult]:
    """Yield (texts that have been read, all texts), then the losses. Raises what the models raise."""
    readings = [reading for reading in inputs.readings if reading.key[0] in inputs.content]
    forms = [
        (n, Form(kind, reordered(kind, reading.text, generator(inputs, reading))))
        for kind in KINDS
        for n, reading in enumerate(readings)
    ]
    async with aclosing(compare(pair, inputs, readings, forms)) as steps:
        async for step in steps:
            yield summary(step, KINDS, units) if isinstance(step, Compared) else step


async def compare(
    pair: LoadedPair,
    inputs: MeasurementInputs,
    readings: Sequence[ScoredReading],
    forms: Sequence[tuple[int, Form]],
) -> AsyncGenerator[tuple[int, int] | Compared]:
    """Score forms of some readings beside the readings; each form comes with its reading's index. Yield (texts that
    have been read, all texts), then the scores. Raises what the models raise.
    """
    texts = [PlacedText(reading.key[0], reading.text) for reading in readings]
    texts += [PlacedText(readings[n].key[0], form.text) for n, form in forms]
    known = {reading.text: reading.vector for reading in readings}
    async with aclosing(score_forms(pair, inputs, texts, known)) as steps:
        async for step in steps:
            if not isinstance(step, FormScores):
                yield step
                continue
            count = len(readings)
            yield Compared(
                readings,
                step.scores[:count],
                held=np.asarray([np.nan if s is None else held(s) for s in step.scores[:count]]),
                kl=step.kl[:count],
                mean_kl=np.asarray([step.mean_kl.get(reading.key[0], np.nan) for reading in readings]),
                forms=[
                    (n, form, score, float(kl))
                    for (n, form), score, kl in zip(forms, step.scores[count:], step.kl[count:], strict=True)
                ],
            )


def generator(inputs: MeasurementInputs, reading: ScoredReading) -> np.random.Generator:
    """The generator that shuffles one reading."""
    return np.random.default_rng([inputs.request.seed % 2**63, *reading.key])


def held(score: Score) -> float:
    """The round-trip score: FVE, or the cosine where V is not known."""
    return score.cos if score.fve is None else score.fve


def summary(compared: Compared, kinds: Sequence[VariantKind], units: Units) -> FormResult:
    """Sum up losses, with intervals over units."""
    places = np.asarray([units.of[reading.key[0]] for reading in compared.readings])
    return FormResult(
        n=len(compared.readings),
        unit=units.name,
        units=len(set(places.tolist())),
        held=float(compared.held.mean()),
        undone=_undone(compared.kl, compared.mean_kl),
        losses=list(_losses(compared, kinds, places)),
    )


def _losses(
    compared: Compared, kinds: Sequence[VariantKind], places: NDArray[np.integer]
) -> Iterator[FormLoss]:
    """The mean loss of each kind of form that there is."""
    for kind in kinds:
        lost, gone = compared.losses(kind)  # `gone`: of the mean's damage, what is no longer undone
        there = np.isfinite(lost)
        if not there.any():
            continue
        both = there & np.isfinite(compared.mean_kl)
        damage = float(compared.mean_kl[both].sum())
        yield FormLoss(
            kind=kind,
            n=int(there.sum()),
            lost=float(lost[there].mean()),
            interval=interval(lost[there], np.ones(int(there.sum())), places[there].tolist()),
            undone_lost=float(gone[both].sum()) / damage if damage > 0 else None,
            undone_interval=interval(gone[both], compared.mean_kl[both], places[both].tolist())
            if damage > 0
            else None,
        )


def _undone(kl: Numbers, mean: Numbers) -> float | None:
    both = np.isfinite(kl) & np.isfinite(mean)
    return float(1 - kl[both].sum() / mean[both].sum()) if mean[both].sum() > 0 else None


def interval(above: Numbers, below: Numbers, places: Sequence[int]) -> tuple[float, float] | None:
    """The middle 95 % of Σ above / Σ below over resampled units; None of too few."""
    _, which = np.unique(np.asarray(places), return_inverse=True)
    count = int(which.max()) + 1
    if count < LEAST_UNITS:
        return None
    sums = np.stack([np.bincount(which, values, count) for values in (above, below)])
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    top, bottom = drawn @ sums.T[:, 0], drawn @ sums.T[:, 1]
    low, high = np.percentile(top / np.where(bottom > 0, bottom, np.inf), [2.5, 97.5])
    return float(low), float(high)
