"""A word along the text: how likely every layer finds it as what comes next, after every position."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import numpy as np

from server.analyses.schema import Analysis
from server.analyses.word_curves import other_variant, tokens_of
from server.errors import BadInput
from server.measurements.schema import MeasurementRequest, TrackedWord, WordTrack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.nla.models.loaded_pair import LoadedPair

DIGITS = 5
"""Significant digits of a probability that is kept."""


async def measure(
    pair: LoadedPair, analysis: Analysis, request: MeasurementRequest
) -> AsyncGenerator[tuple[int, int] | WordTrack]:
    """Yield (layers that have been read, all), then the word in both variants. Raises BadInput for a word without
    tokens and a lens that the pair has not.
    """
    assert request.word is not None
    if request.lens == "tuned" and not pair.target.has_tuned_lens:
        raise BadInput("lens", f"The pair {pair.name} has no tuned lens: ask for the plain one.")
    words = [request.word, *other_variant(request.word)]
    tokens = [tokens_of(pair.prompter, word) for word in words]
    steps = pair.target.word_lens(
        [token.id for token in analysis.tokens],
        [found.ids for found in tokens],
        tuned=request.lens == "tuned",
    )
    async for step in steps:
        if isinstance(step, tuple):
            yield step
            continue
        yield WordTrack(
            lens=request.lens,
            layers=list(range(step.prob.shape[1])),
            variants=[
                TrackedWord(
                    word=word,
                    prob=_rounded(step.prob[n]),
                    rank=step.rank[n].tolist(),
                    whole=_rounded(step.whole[n]),
                    **dict(tokens[n]),
                )
                for n, word in enumerate(words)
            ],
        )


def _rounded(values: NDArray[np.float32]) -> Any:
    """Probabilities to DIGITS significant digits: more say nothing, and make a document twice as long."""
    return np.vectorize(lambda p: float(f"{p:.{DIGITS}g}"), otypes=[np.float64])(values).tolist()
