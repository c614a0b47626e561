"""Documents of agreement, as the API has them."""

from __future__ import annotations

from server.measurements.schema import UnitName
from server.schema import ResponseModel


class Claim(ResponseModel):
    """A claim, in the words in which it came first, and the samples whose reading makes it."""

    text: str
    samples: list[int]


class BestOf(ResponseModel):
    """The reading that scores best. It was chosen by its score: the best of many is better than any by itself."""

    sample: int
    score: float


class PositionAgreement(ResponseModel):
    """Agreement of the readings of one position. `cos`: the mean cosine of their reconstructions; `cos_other`: with
    those of other positions, its null. `recurring`: of a claim of one reading, the share of the other readings that
    make it; `recurring_other`: the share of those of other positions. Two sentences make the same claim if they
    share at least half of the words that either has, without those that most readings have, and have the same numbers
    and negations. `score`: the mean
    round-trip score (FVE, or the cosine where V is not known); `averaged`: that of the mean of the reconstructions.
    """

    position: int
    samples: int
    cos: float
    cos_other: float | None
    recurring: float | None
    recurring_other: float | None
    claims: list[Claim]
    score: float
    best: BestOf
    averaged: float


class AgreementSummary(ResponseModel):
    """Means over the `n` positions of content, with the middle 95 % over `units` resampled turns or sentences."""

    n: int
    unit: UnitName
    units: int
    cos: float | None
    cos_interval: tuple[float, float] | None
    cos_other: float | None
    cos_other_interval: tuple[float, float] | None
    recurring: float | None
    recurring_interval: tuple[float, float] | None
    recurring_other: float | None
    recurring_other_interval: tuple[float, float] | None
    score: float | None
    score_interval: tuple[float, float] | None
    averaged: float | None
    averaged_interval: tuple[float, float] | None
    best: float


class Agreement(ResponseModel):
    """GET /api/analyses/{id}/agreement: how far the readings of each token agree."""

    analysis: str
    url: str
    positions: list[PositionAgreement]
    summary: AgreementSummary | None
