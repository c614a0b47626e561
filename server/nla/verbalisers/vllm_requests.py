"""Requests and counters of the vLLM engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from server.nla.verbalisers.base import ReadingRequest

EVERY = 8
"""Tokens between two bits of a reading that nobody is likely to look at: each bit costs the engine a message."""


@dataclass(frozen=True)
class SampledRequest:
    """One request to an engine: one activation, `samples` are consecutive samples of it."""

    samples: list[ReadingRequest]

    @property
    def rank(self) -> int:
        """Place in line, 0 the first; those of one rank stand in the order of coming."""
        return 0 if self.samples[0].watched else 1

    @property
    def interval(self) -> int:
        """Tokens between two bits: what is watched comes word by word."""
        return 1 if self.samples[0].watched else EVERY


def group_samples(requests: Sequence[ReadingRequest], temperature: float) -> Iterator[SampledRequest]:
    """Consecutive samples of one activation become one request; it is put in only once.

    Greedy ones stay apart: vLLM takes no several samples of what is not sampled.
    """
    run: list[ReadingRequest] = []
    for wanted in requests:
        follows = bool(run) and temperature > 0 and wanted.sample == run[-1].sample + 1
        if follows and np.array_equal(wanted.activation, run[-1].activation):
            run.append(wanted)
            continue
        if run:
            yield SampledRequest(run)
        run = [wanted]
    if run:
        yield SampledRequest(run)


@dataclass(frozen=True)
class Timeouts:
    """Seconds within which vLLM servers must have written a reading, however often it is asked for, and for
    which one may send nothing while it has readings to write.
    """

    reading: float = 600.0
    idle: float = 60.0


@dataclass
class Counters:
    """Counters of an engine since it was opened."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    reading_tokens: int = 0
    restarts: int = 0

    def counters(self) -> dict[str, float]:
        """By name."""
        return {name: float(value) for name, value in vars(self).items()}
