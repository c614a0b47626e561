"""Scores of other forms of readings: by round trip, and in the activation's place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from server.measurements.inputs import MeasurementInputs, Vector

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.scores import Score

BATCH = 64
"""Texts that the AR is given between two looks at the progress."""


@dataclass(frozen=True)
class PlacedText:
    """A text in the place of the activation at a position."""

    position: int
    text: str


@dataclass(frozen=True)
class FormScores:
    """Scores of texts, in the order in which they were given. `scores`: None where the AR makes no vector of one. `kl`:
    KL(unpatched || patched) of the next token, in nats, NaN there. `mean_kl`: the same with the text's mean activation,
    by position; a position without one is not in it.
    """

    scores: list[Score | None]
    kl: NDArray[np.float64]
    mean_kl: Mapping[int, float]


async def score_forms(
    pair: LoadedPair,
    inputs: MeasurementInputs,
    texts: Sequence[PlacedText],
    known: Mapping[str, Vector] | None = None,
) -> AsyncGenerator[tuple[int, int] | FormScores]:
    """Yield (texts that have been read, all texts), then the scores. `known` are reconstructions that need not be made
    again. Raises what the models raise.
    """
    from server.nla.scores import score

    made = dict(known or {})
    wanted = [text for text in dict.fromkeys(placed.text for placed in texts) if text not in made]
    yield 0, len(wanted)
    for first in range(0, len(wanted), BATCH):
        part = wanted[first : first + BATCH]
        made |= dict(zip(part, await pair.reconstructor.reconstruct(part), strict=True))
        yield min(first + BATCH, len(wanted)), len(wanted)

    rows = [(placed.position, n, made[placed.text]) for n, placed in enumerate(texts)]
    rows += [(position, -1, inputs.mean(position)) for position in {placed.position for placed in texts}]
    rows = [row for row in rows if np.isfinite(row[2]).all() and row[2].any()]
    rows.sort(key=lambda row: row[0])  # those of one position share a pass
    kls: list[float] = []
    if rows:
        vectors = np.stack([vector for _, _, vector in rows])
        async for batch in pair.target.patch_each(inputs.ids, [row[0] for row in rows], vectors, 0):
            kls += batch.kls[:, 0].tolist()
    kl = np.full(len(texts), np.nan)
    scores: list[Score | None] = [None] * len(texts)
    mean_kl: dict[int, float] = {}
    for (position, n, vector), found in zip(rows, kls, strict=True):
        if n < 0:
            mean_kl[position] = found
        else:
            kl[n], scores[n] = found, score(inputs.activations[position], vector, pair.variance)
    yield FormScores(scores, kl, mean_kl)
