"""A share drawn as a bar, with its interval and what chance gives; drawn by templates/bars.html."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One statistic drawn on a scale from 0 to 100: the bar, its interval, what chance gives (mean and middle 95 %),
    and the original study's value. `words` says the same.
    """

    label: str
    colour: str
    value: str
    words: str
    n: str
    width: float
    interval: tuple[float, float] | None
    null: tuple[float, float] | None = None
    null_at: float | None = None
    original: float | None = None


def at(share: float) -> float:
    """The place of a share on the scale; what lies outside of it is at its edge."""
    return round(100 * min(max(share, 0.0), 1.0), 2)


def both(interval: tuple[float, float]) -> tuple[float, float]:
    """The places of an interval's ends."""
    return at(interval[0]), at(interval[1])
