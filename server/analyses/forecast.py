"""Forecasts: how long a text is and what its analysis would take, before anybody asks for it."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from statistics import median

from server.analyses.schema import AnalysisRequest
from server.schema import ResponseModel

KEPT = 50
"""Runs of a pair that are remembered."""
NEAREST = 5
"""Runs of them, those nearest in their number of readings, that a forecast is the median of."""


class Forecast(ResponseModel):
    """The size of an analysis before it is asked for. `readings` are those of a reply of full length, `seconds` the
    time that they would take on this server, without waiting for others; None before it has made an analysis with this
    pair. `limit` is the longest prompt in tokens.
    """

    pair: str
    tokens: int
    limit: int
    readings: int
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """A run that came to its end: the readings that it made, and its seconds from the prompt to the last score."""

    readings: int
    seconds: float


class Paces:
    """The last runs of each pair on this server, since it started."""

    def __init__(self) -> None:
        self._runs: defaultdict[str, deque[Run]] = defaultdict(lambda: deque(maxlen=KEPT))

    def add(self, pair: str, run: Run) -> None:
        """Remember a run; one that had nothing left to read tells of no pace."""
        if run.readings:
            self._runs[pair].append(run)

    def seconds(self, pair: str, readings: int) -> float | None:
        """Return how long so many readings would take: as the runs of about as many took for each of theirs, since one
        of a large batch takes less than one alone. None where there was no run yet.
        """
        runs = self._runs.get(pair)
        if not runs or not readings:
            return None
        nearest = sorted(runs, key=lambda run: abs(run.readings - readings))[:NEAREST]
        return max(0.1, round(readings * median(run.seconds / run.readings for run in nearest), 1))


def readings_of(request: AnalysisRequest, prompt_length: int) -> int:
    """Count the readings of a request with a prompt of so many tokens and a reply of full length."""
    reply = request.generate.max_new_tokens if request.generate else 0
    positions = request.positions
    if isinstance(positions, list):
        read = len(set(positions))
    else:
        read = {"all": prompt_length + reply, "prompt": prompt_length, "generated": reply}[positions]
    return read * request.verbalise.samples
