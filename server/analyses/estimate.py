"""Estimate of progress: the part of the readings that has been decoded, and the time that the rest takes."""

from __future__ import annotations

import time

Key = tuple[int, int]  # position, sample
SHARE = 0.4
"""The AR's part of the time that a reading takes, before a pair's first analysis has shown it."""
ENOUGH = 8
"""Readings that have to be scored after the AV has ended before they tell of the AR's speed."""
ALMOST = 0.95
"""As far as a reading that is being written can be: how long it becomes is known at its end alone."""
OVERRUN = 0.2
"""The part of itself that a reading longer than expected is taken to have before it."""
LEAST = 0.03
"""The part of the work that a run has to do before it tells of its speed: the first tokens of a reading are
not its words.
"""


class Estimate:
    """Progress in characters of the readings, which come in step with the AV's tokens: a batch that decodes
    together moves long before its first reading has ended. `share` is the AR's part of the time, as an
    earlier analysis has shown it.
    """

    def __init__(self, share: float = SHARE) -> None:
        self.typical: float | None = None
        """Characters of a reading of this pair; None if unknown."""
        self._share = share
        self._total = 0
        self._at_first = 0
        self._scored: set[Key] = set()
        self._written: dict[Key, int] = {}
        self._through_av: set[Key] = set()
        """Written or scored: kept apart, since to put them together takes as long as there are readings."""
        self._decoded: dict[Key, int] = {}
        self._since: dict[Key, float] = {}
        self._began = 0.0
        self._before = 0.0
        self._all_written: tuple[float, int] | None = (
            None  # when the AV ended, and how many were scored by then
        )

    def begin(self, total: int, written: set[Key], scored: set[Key]) -> None:
        """Start the clock: of `total` readings earlier runs have written some, and scored some of those."""
        self._total, self._at_first, self._scored = total, len(scored), set(scored)
        self._written = dict.fromkeys(written, 0)
        self._through_av = written | scored
        self._began = time.monotonic()
        self._before = self.fraction or 0.0

    def decoded(self, key: Key, characters: int) -> None:
        """Count what the AV has added to a reading."""
        self._since.setdefault(key, time.monotonic())
        self._decoded[key] = self._decoded.get(key, 0) + characters

    def written(self, key: Key, characters: int) -> None:
        """Note that the AV has ended a reading of so many characters."""
        self._decoded.pop(key, None)
        self._written[key] = characters
        self._through_av.add(key)
        self._note_all_written()

    def scored(self, key: Key) -> None:
        """Note that nothing is left to do for a reading: it has its score, or has failed."""
        self._decoded.pop(key, None)
        self._scored.add(key)
        self._through_av.add(key)
        self._note_all_written()

    @property
    def read(self) -> int:
        """The readings that this run has brought to their end."""
        return len(self._scored) - self._at_first

    @property
    def fraction(self) -> float | None:
        """The part of all readings that is done, 0 to 1; None before there is anything to do."""
        if not self._total:
            return None
        expected = self._expected()
        parts = sum(min(ALMOST, n / expected) for n in self._decoded.values())
        done = (1 - self._share) * (len(self._through_av) + parts) + self._share * len(self._scored)
        return min(1.0, done / self._total)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the speed of this run so far; None while that is unknown."""
        fraction, now = self.fraction, time.monotonic()
        if fraction is None or fraction - self._before < LEAST:
            return None
        if (each := self._seconds_a_score(now)) is not None:
            return round(each * (self._total - len(self._scored)), 1)
        left = (now - self._began) * (1 - fraction) / (fraction - self._before)
        return round(max(left, self._longest_left(now)), 1)

    def share(self) -> float:
        """The AR's part of the time, as this analysis has shown it; call it at the end."""
        now = time.monotonic()
        each = self._seconds_a_score(now)
        if each is None or self._all_written is None:
            return self._share
        ended, scored = self._all_written
        writing = max(0.0, ended - self._began - each * scored) / self._total
        return min(0.9, max(0.05, each / (each + writing)))

    def _note_all_written(self) -> None:
        if self._all_written is None and len(self._through_av) >= self._total:
            self._all_written = time.monotonic(), len(self._scored)

    def _seconds_a_score(self, now: float) -> float | None:
        """The AR's own speed, once it is alone at work and has shown it."""
        if self._all_written is None:
            return None
        ended, scored = self._all_written
        alone = len(self._scored) - scored
        return None if alone < ENOUGH else (now - ended) / alone

    def _longest_left(self, now: float) -> float:
        """Seconds to the end of the last reading that is being written, each at its own speed: one that is
        much longer than the others goes on by itself when they are done.
        """
        expected = self._expected()
        return max(
            (
                max(expected - n, OVERRUN * n) * (now - self._since[key]) / n
                for key, n in self._decoded.items()
                if n
            ),
            default=0.0,
        )

    def _expected(self) -> float:
        """Characters of a reading: as in the readings that have ended here or, before any has, as is typical."""
        ended = [n for n in self._written.values() if n]
        if ended:
            return max(1.0, sum(ended) / len(ended))
        longest = max(self._decoded.values(), default=0)
        return max(1.0, self.typical or 0.0, longest / ALMOST)
