"""Steering at several strengths: where an edit begins to act, and where it only breaks the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from server.interventions.schema import SweepPoint

if TYPE_CHECKING:
    from server.interventions.run import InterventionInputs
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.patching.patched_forward import PatchedOutput
    from server.nla.patching.patches import Patch

RANDOM = 8
"""Random directions at each strength; they are the first ones of the edit's own."""
OTHERS = 8
"""Other readings at each strength."""


async def sweep(
    pair: LoadedPair,
    material: InterventionInputs,
    edit: Patch,
    others: Sequence[Patch],
    words: Sequence[int],
    baseline: PatchedOutput,
) -> AsyncIterator[int | SweepPoint]:
    """Run the edit at each strength that is asked for, beside random directions and `others`, the
    patches of other readings. `words` are token ids, `baseline` is the output without a patch. Yields how many patches
    have been run, then the points.
    """
    from server.nla.patching.patched_forward import Continuation
    from server.nla.patching.patches import random_controls

    request = material.request
    others = [
        others[n] for n in np.linspace(0, len(others) - 1, min(OTHERS, len(others))).round().astype(int)
    ]
    patches: list[Patch] = []
    for alpha in request.sweep:
        there = replace(edit, alpha=alpha)
        patches += [there, *random_controls(there, material.h, RANDOM, request.seed)]
        patches += [replace(other, alpha=alpha) for other in others]
    if not patches:
        return
    said: list[PatchedOutput] = []
    followed = [*words, *baseline.top_ids.tolist()]
    async for batch in pair.target.patched_forward(material.ids, patches, followed, Continuation(0)):
        said += batch
        yield len(said)
    for n, alpha in enumerate(request.sweep):
        first = 1 + n * (1 + RANDOM + len(others))
        own, *rest = said[first : first + 1 + RANDOM + len(others)]
        random, read = rest[:RANDOM], rest[RANDOM:]
        kls = [float(other.kls[-1]) for other in random]
        low, high = np.percentile(kls, [5, 95]).tolist()
        top = int(own.top_ids[0])
        yield SweepPoint(
            alpha=alpha,
            kl=float(own.kls[-1]),
            first=(top, pair.prompter.token_text(top), float(own.top_probs[0])),
            probs=own.probs[: len(words)].tolist(),
            random_kl=float(np.mean(kls)),
            random_interval=(low, high),
            random_probs=np.mean([other.probs[: len(words)] for other in random], axis=0).tolist(),
            random_firsts=[pair.prompter.token_text(int(other.top_ids[0])) for other in random],
            old_first=float(own.probs[len(words)]),
            elsewhere=_elsewhere(own, followed),
            random_old_first=float(np.mean([other.probs[len(words)] for other in random])),
            random_elsewhere=float(np.mean([_elsewhere(other, followed) for other in random])),
            other_kls=[float(other.kls[-1]) for other in read],
            other_probs=[other.probs[: len(words)].tolist() for other in read],
        )


def _elsewhere(said: PatchedOutput, followed: Sequence[int]) -> float:
    """The probability of all tokens but those that are followed."""
    probs: dict[int, float] = dict(zip(followed, said.probs.tolist(), strict=True))
    return max(1 - sum(probs.values()), 0.0)
