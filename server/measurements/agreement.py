"""Agreement of several readings of one token: of their reconstructions, and of what they claim.

What one reading claims may be made up; what recurs in readings that were sampled apart is truer. So each figure stands
beside its null, the same between readings of different tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from server.analyses.schema import Analysis
from server.analyses.vocabulary import common, words
from server.errors import Conflict
from server.measurements.agreement_schema import (
    Agreement,
    AgreementSummary,
    BestOf,
    Claim,
    PositionAgreement,
)
from server.measurements.form import held, interval, units_of
from server.measurements.forms import sentences
from server.measurements.inputs import Key, Vector

if TYPE_CHECKING:
    from server.nla.scores import Score

ALIKE = 0.5
"""Two sentences make the same claim if they share at least this share of the words that either of them has, and the
same numbers and negations: a 6 is no 7, however alike the rest is.
"""
NEGATIONS = frozenset({"no", "nor", "not", "none", "never"})
OTHERS = 8
"""Other positions whose readings a position's are held against."""


@dataclass(frozen=True)
class Sampled:
    """The scored readings of one position: their samples, reconstructions as unit vectors [n, d], and claims."""

    position: int
    samples: Sequence[int]
    directions: NDArray[np.float64]
    claims: Sequence[Sequence[tuple[str, frozenset[str]]]]


def agreement(
    analysis: Analysis, activations: Vector, vectors: Mapping[Key, Vector], position: int | None = None
) -> Agreement:
    """Compare the readings of each token with each other, of one `position` or of all; `vectors` are reconstructions.
    Raises Conflict where no token has two.
    """
    from server.nla.scores import score, units

    each = _sampled(analysis, vectors)
    wanted = [s for s in each if position is None or s.position == position]
    if not wanted:
        where = "No token" if position is None else f"Position {position}"
        raise Conflict(f"{where} has two scored readings. Ask for several samples (verbalise.samples).")
    inside = {token.position for token in analysis.tokens if token.content}
    found = []
    for own in wanted:
        others = _others(own, [s for s in each if s.position in inside])
        h = activations[own.position]
        scores = [score(h, vectors[own.position, sample], analysis.fve_variance) for sample in own.samples]
        average = score(h, units(own.directions.mean(0)), analysis.fve_variance)
        found.append(_position(own, others, scores, average))
    return Agreement(
        analysis=analysis.id,
        url=analysis.url,
        positions=found,
        summary=_summary(analysis, [p for p in found if p.position in inside]),
    )


def _sampled(analysis: Analysis, vectors: Mapping[Key, Vector]) -> list[Sampled]:
    """The positions that have at least two scored readings."""
    from server.nla.scores import units

    usual = common(tuple(reading.text for reading in analysis.readings), shortest=1)
    by_position: dict[int, dict[int, str]] = defaultdict(dict)
    for r in analysis.readings:
        if r.cos is not None and (r.position, r.sample) in vectors:
            by_position[r.position][r.sample] = r.text
    return [
        Sampled(
            position,
            list(texts),
            np.asarray(units(np.stack([vectors[position, sample] for sample in texts])), np.float64),
            [list(_claims(text, usual)) for text in texts.values()],
        )
        for position, texts in sorted(by_position.items())
        if len(texts) > 1
    ]


def _claims(text: str, usual: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The sentences of a reading with their words, without those that nearly all readings have; one of which nothing is
    left claims nothing of its own.
    """
    for sentence in sentences(text):
        if own := frozenset(words(sentence, shortest=1) - usual):
            yield sentence.strip(), own


def _others(own: Sampled, each: Sequence[Sampled]) -> list[Sampled]:
    """Some other positions, drawn by the position's number; none with the very same words."""
    there = [s for s in each if s.position != own.position]
    random = np.random.default_rng(own.position)
    chosen = random.permutation(len(there))[:OTHERS]
    return [there[n] for n in sorted(chosen.tolist())]


def _position(
    own: Sampled, others: Sequence[Sampled], scores: Sequence[Score], average: Score
) -> PositionAgreement:
    values = [held(score) for score in scores]
    best = int(np.argmax(values))
    cosines = own.directions @ own.directions.T
    count = len(own.samples)
    beside = [own.directions @ other.directions.T for other in others]
    return PositionAgreement(
        position=own.position,
        samples=count,
        cos=float((cosines.sum() - np.trace(cosines)) / (count * (count - 1))),
        cos_other=float(np.mean([cosine.mean() for cosine in beside])) if beside else None,
        recurring=_recurring(own, [own]),
        recurring_other=_recurring(own, others),
        claims=list(_groups(own)),
        score=float(np.mean(values)),
        best=BestOf(sample=own.samples[best], score=values[best]),
        averaged=held(average),
    )


def _recurring(own: Sampled, others: Sequence[Sampled]) -> float | None:
    """For a claim of one of its readings, the share of the other readings (of `others`) that make it, in the mean."""
    shares = []
    for n, claims in enumerate(own.claims):
        beside = [c for o in others for m, c in enumerate(o.claims) if o is not own or m != n]
        if beside:
            shares += [sum(_makes(c, claim) for c in beside) / len(beside) for _, claim in claims]
    return float(np.mean(shares)) if shares else None


def _groups(own: Sampled) -> Iterator[Claim]:
    """The claims, each once, in the words in which it came first, with the readings that make it: the most frequent
    first.
    """
    first: list[tuple[str, frozenset[str]]] = []
    for claims in own.claims:
        first += [claim for claim in claims if not any(_alike(claim[1], known) for _, known in first)]
    groups = [
        Claim(text=text, samples=[own.samples[n] for n, c in enumerate(own.claims) if _makes(c, claim)])
        for text, claim in first
    ]
    yield from sorted(groups, key=lambda group: -len(group.samples))


def _makes(claims: Sequence[tuple[str, frozenset[str]]], claim: frozenset[str]) -> bool:
    return any(_alike(own, claim) for _, own in claims)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return _decisive(one) == _decisive(other) and len(one & other) >= ALIKE * len(one | other)


def _decisive(words: frozenset[str]) -> frozenset[str]:
    """The numbers and negations among some words."""
    return frozenset(
        word
        for word in words
        if word in NEGATIONS or word.endswith(("n't", "n’t")) or any(letter.isdigit() for letter in word)
    )


def _summary(analysis: Analysis, found: Sequence[PositionAgreement]) -> AgreementSummary | None:
    """Means over positions of content, with intervals over turns or sentences."""
    if not found:
        return None
    units = units_of(analysis.tokens)
    places = [units.of[p.position] for p in found]

    def mean(name: str) -> tuple[float | None, tuple[float, float] | None]:
        pairs = [
            (value, place)
            for p, place in zip(found, places, strict=True)
            if (value := getattr(p, name)) is not None
        ]
        if not pairs:
            return None, None
        values = np.asarray([value for value, _ in pairs], np.float64)
        return float(values.mean()), interval(values, np.ones_like(values), [place for _, place in pairs])

    figures: dict[str, Any] = {}
    for name in ("cos", "cos_other", "recurring", "recurring_other", "score", "averaged"):
        figures[name], figures[f"{name}_interval"] = mean(name)
    return AgreementSummary(
        n=len(found),
        unit=units.name,
        units=len(set(places)),
        best=float(np.mean([p.best.score for p in found])),
        **figures,
    )
