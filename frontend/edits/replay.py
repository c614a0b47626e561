"""Both replies of an edit beside each other, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

from frontend import formatting
from frontend.edits.contexts import ReplayColumn, ReplayContext
from frontend.urls import urls
from server.analyses.schema import Analysis
from server.interventions.continued import continued
from server.interventions.schema import Intervention, Replay

DEEP = 5.0
"""Nats at the deep end of the scale of colours."""


def replay(analysis: Analysis, made: Intervention) -> ReplayContext | None:
    """The replies, aligned; None for an edit that was kept before its tokens were."""
    if made.replay is None or not (made.before.tokens or made.after.tokens):
        return None
    most = max([*made.replay.kls, *made.replay.null_kls, 1e-9])
    return ReplayContext(
        columns=[_column(made, made.replay, before, after, most) for before, after in _aligned(made)],
        same=made.before.tokens == made.after.tokens and made.before.ended == made.after.ended,
        beside=_beside(made.replay),
        again=urls.read_patched(analysis.id, made.id) if continued(analysis, made) is not None else "",
    )


def _aligned(made: Intervention) -> Iterator[tuple[int | None, int | None]]:
    """Pairs of places in both replies, in order; None where one has nothing."""
    before, after = ([id for id, _ in said.tokens] for said in (made.before, made.after))
    for _, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        yield from zip_longest(range(i, j), range(k, m))


def _column(
    made: Intervention, found: Replay, before: int | None, after: int | None, most: float
) -> ReplayColumn:
    kl = found.kls[before] if before is not None and before < len(found.kls) else None
    null = found.null_kls[before] if before is not None and before < len(found.null_kls) else None
    one = None if before is None else made.before.tokens[before]
    other = None if after is None else made.after.tokens[after]
    return ReplayColumn(
        before="" if one is None else formatting.quoted(one[1], 24) or "\u2205",
        after="" if other is None else formatting.quoted(other[1], 24) or "\u2205",
        same=one == other,
        moved="" if kl is None else formatting.nats(kl),
        width=0.0 if kl is None else round(100 * kl / most, 1),
        beside="" if null is None else formatting.nats(null),
        shade="" if kl is None else f"s{formatting.score_bin(min(1.0, kl / DEEP), None)}",
    )


def _beside(found: Replay) -> str:
    kind = "other readings at the same angle" if found.null == "other" else "random directions"
    return f"{found.n} {kind}" if found.n else ""
