"""How far the readings of an analysis are, by what has been decoded of them, and how long the rest takes."""

from __future__ import annotations

import time

Key = tuple[int, int]  # position, sample
SCORING = 0.1
"""The part of a reading's work that is left for the AR once the AV has written it."""
ALMOST = 0.95
"""As far as a reading that is being written can be: how long it becomes is known at its end alone."""
SOONEST = 1.0
"""Seconds of work before there is an estimate."""


class Estimate:
    """Progress in characters of the readings, which come in step with the AV's tokens: a batch that decodes together moves
    long before its first reading has ended. `typical` is how long a reading of this pair usually is, None if unknown.
    """

    def __init__(self, typical: float | None = None) -> None:
        self._typical = typical
        self._total = 0
        self._scored: set[Key] = set()
        self._written: dict[Key, int] = {}
        self._decoded: dict[Key, int] = {}
        self._began = 0.0
        self._before = 0.0

    def begin(self, total: int, scored: set[Key]) -> None:
        """Start the clock: of `total` readings some have been scored by earlier runs."""
        self._total, self._scored = total, set(scored)
        self._began, self._before = time.monotonic(), self.fraction or 0.0

    def decoded(self, key: Key, characters: int) -> None:
        """Count what the AV has added to a reading."""
        self._decoded[key] = self._decoded.get(key, 0) + characters

    def written(self, key: Key, characters: int) -> None:
        """Note that the AV has ended a reading of so many characters."""
        self._decoded.pop(key, None)
        self._written[key] = characters

    def scored(self, key: Key) -> None:
        """Note that nothing is left to do for a reading: it has its score, or has failed."""
        self._decoded.pop(key, None)
        self._scored.add(key)

    @property
    def fraction(self) -> float | None:
        """The part of all readings that is done, 0 to 1; None before there is anything to do."""
        if not self._total:
            return None
        expected = self._expected()
        parts = sum(min(ALMOST, n / expected) for n in self._decoded.values())
        written = len(self._written.keys() - self._scored)
        return min(1.0, (len(self._scored) + (1 - SCORING) * (written + parts)) / self._total)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the speed of this run so far; None while that is unknown."""
        fraction, elapsed = self.fraction, time.monotonic() - self._began
        if fraction is None or elapsed < SOONEST or fraction <= self._before:
            return None
        return round(elapsed * (1 - fraction) / (fraction - self._before), 1)

    def _expected(self) -> float:
        """Characters of a reading: as in the readings that have ended here or, before any has, as is typical."""
        if self._written:
            return max(1.0, sum(self._written.values()) / len(self._written))
        longest = max(self._decoded.values(), default=0)
        return max(1.0, self._typical or 0.0, longest / ALMOST)
