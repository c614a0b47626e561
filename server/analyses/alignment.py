"""Alignment of two texts, token by token: a diff of their content, which leaves a token alone rather than
pair it falsely.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TypeAlias

from server.analyses.schema import Token

Pairs: TypeAlias = Sequence[tuple[int, int]]


def aligned(a: Sequence[Token], b: Sequence[Token], *, by_text: bool = False) -> list[tuple[int, int]]:
    """Pairs of positions that hold the same token of content, by the same speaker and in the same order: the
    longest common blocks, as a diff has them. A single token that two different surroundings happen to share
    is no pair, unless it begins or ends a turn on both sides.

    Two tokenizers number their tokens otherwise: theirs are the same `by_text`.
    """
    left, right = (_Content(tokens, by_text) for tokens in (a, b))
    blocks = SequenceMatcher(None, left.keys, right.keys, autojunk=False).get_matching_blocks()
    found = []
    for block in blocks:
        if block.size == 1 and not left.shares_edge(block.a, right, block.b):
            continue
        found += [(left.positions[block.a + n], right.positions[block.b + n]) for n in range(block.size)]
    return found


def shared_prefix(a: Sequence[Token], b: Sequence[Token], *, by_text: bool = False) -> int:
    """Count the tokens that both texts begin with, the template's included."""
    same = 0
    for one, other in zip(a, b, strict=False):
        if _key(one, by_text) != _key(other, by_text):
            break
        same += 1
    return same


def _key(token: Token, by_text: bool) -> tuple[str, str | int]:
    return token.role, token.text if by_text else token.id


class _Content:
    """The content of a text, and where its turns begin and end. A part of a glyph has no text, so none to
    compare by.
    """

    def __init__(self, tokens: Sequence[Token], by_text: bool) -> None:
        chosen = [token for token in tokens if token.content and (token.text or not by_text)]
        self.positions = [token.position for token in chosen]
        self.keys = [_key(token, by_text) for token in chosen]

    def shares_edge(self, n: int, other: _Content, m: int) -> bool:
        """Return whether both tokens begin a turn, or both end one."""
        return (self._begins(n) and other._begins(m)) or (self._begins(n + 1) and other._begins(m + 1))

    def _begins(self, n: int) -> bool:
        return n in (0, len(self.keys)) or self.keys[n][0] != self.keys[n - 1][0]
