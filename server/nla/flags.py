"""Marks of positions that some pairs were not trained on. Shown, never hidden; card.py has what each pair says."""

from __future__ import annotations

from collections.abc import Collection

from server.nla.prompt import Piece

EARLY = 10
"""The released pairs were trained on positions 50 and later; the first ten are the furthest from that."""
HUGE = 5.0
"""Norms beyond this multiple of the prompt's median: attention sinks (Qwen2.5's newline after a role name has
14,357 to 110).
"""


def is_content(position: int, special: bool, flags: Collection[str]) -> bool:
    """Return whether a position holds something that somebody or the model wrote: no part of the chat template and no
    special token, nor one that serves as a sink (the first of the text, or an outsized activation). Means, baselines,
    ranks and comparisons are over content: the template is the same in every text, easy to read, and would flatter
    them.
    """
    return position > 0 and not special and "huge-norm" not in flags


def flags(position: int, piece: Piece, norm: float, median_norm: float) -> list[str]:
    """Any of "early", "template", "end-of-turn", "huge-norm", "glyph-part"."""
    found = []
    if position < EARLY:
        found.append("early")
    if piece.ends_turn:
        found.append("end-of-turn")
    elif piece.special:
        found.append("template")
    if median_norm > 0 and norm > HUGE * median_norm:
        found.append("huge-norm")
    if piece.glyph is not None:
        found.append("glyph-part")
    return found
