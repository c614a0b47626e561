"""Watched positions: they are read first, and their words are streamed as they come."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class WatchedPositions:
    """The positions that were pinned last, at most a handful, and the focus: what a page pins when nobody
    chose.
    """

    LIMIT = 8

    def __init__(self) -> None:
        self.focus: int | None = None
        self._pinned: dict[int, None] = {}

    def pin(self, position: int) -> None:
        """Somebody looks here now."""
        self._pinned.pop(position, None)
        self._pinned[position] = None
        while len(self._pinned) > self.LIMIT:
            del self._pinned[next(iter(self._pinned))]

    def __contains__(self, position: int) -> bool:
        return position == self.focus or position in self._pinned

    def first(self, keys: Iterable[tuple[int, int]], n: int) -> list[tuple[int, int]]:
        """The next n of these (position, sample): what was pinned last, then the focus, then the rest in
        reading order.
        """
        ordered = [*reversed(self._pinned), self.focus]
        place = {position: i for i, position in reversed(list(enumerate(ordered)))}
        return heapq.nsmallest(n, keys, key=lambda key: (place.get(key[0], len(ordered)), key))
