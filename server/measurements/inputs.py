"""Inputs of a measurement: an analysis as the models need it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from server.measurements.schema import MeasurementRequest

Vector = NDArray[np.float32]
Key = tuple[int, int]  # position, sample


@dataclass(frozen=True)
class ScoredReading:
    """A reading with its reconstruction [d] and its round-trip score."""

    key: Key
    text: str
    vector: Vector
    cos: float


@dataclass(frozen=True)
class MeasurementInputs:
    """Inputs of the measurement: the ids of the text, its activations [T, d], positions of content and readings."""

    request: MeasurementRequest
    ids: Sequence[int]
    activations: Vector
    content: Collection[int]
    readings: Sequence[ScoredReading]

    def mean(self, position: int) -> Vector:
        """The mean direction [d] of the text's content activations but the one at `position`; zero if there are none
        other.
        """
        each, total = self._directions
        inside = position in self.content
        found: Vector = (total - each[position] if inside else total).astype(np.float32)
        return found if len(self.content) > inside else np.zeros_like(found)

    @cached_property
    def _directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The directions of all activations [T, d], and the sum [d] of those of content."""
        from server.nla.scores import units

        each = np.asarray(units(self.activations), np.float64)
        return each, np.asarray(each[sorted(self.content)].sum(0))
