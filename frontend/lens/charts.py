"""Chart data: the numbers that <layer-curve> draws with Observable Plot. Nothing here knows about HTML or pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log", "rank"]
Kind = Literal["next", "pin", "word"]


@dataclass(frozen=True)
class Series:
    """One token over the layers: `prob`, and `rank` (0 = top). `kind` says why it is drawn: next, pin or word.

    The last entry is what the model really says. `position` is that of a pin, `word` an exact word, of
    whose tokens `note` says which is drawn.
    """

    kind: Kind
    name: str
    prob: Sequence[float]
    rank: Sequence[int]
    position: int | None = None
    word: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """The name with its note."""
        return f"{self.name}, {self.note}" if self.note else self.name


@dataclass(frozen=True)
class Curve:
    """Tokens over the layers at one position; the first series is the true next token.

    All of `prob`, `rank` and `top` (each layer's own favourite) run over `layers`, the blocks' numbers, whose
    last entry is the model's real output. `read` is K, `also_read` are those of other pairs, `selected` is
    the layer that a viewer chose. Raises ValueError for lengths that differ.
    """

    layers: Sequence[int]
    series: Sequence[Series]
    top: Sequence[str]
    scale: str = "linear"
    read: int | None = None
    also_read: Sequence[int] = ()
    selected: int | None = None

    def __post_init__(self) -> None:
        count = len(self.layers)
        if not count or any(not count == len(s.prob) == len(s.rank) == len(self.top) for s in self.series):
            raise ValueError(f"a curve needs one value a layer: {count} layers")

    @property
    def data(self) -> str:
        """Return the drawing's data as JSON. Four significant digits are more than a pixel shows."""
        return json.dumps(
            {
                "scale": self.scale,
                "layers": self.layers,
                "read": self.read,
                "also": sorted(set(self.also_read) - {self.read}),
                "selected": self.selected,
                "top": self.top,
                "series": [
                    {"name": s.label, "prob": [float(f"{p:.4g}") for p in s.prob], "rank": s.rank}
                    for s in self.series
                ],
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
