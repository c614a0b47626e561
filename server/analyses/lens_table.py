"""The lens as it is kept, sent and drawn: arrays of [layer, position], small enough to store whole."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_ROWS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
LENS_JSON_SCHEMA: dict[str, Any] = {
    "title": "Lens",
    "description": "Arrays of [layer][position]; top holds [id, text, probability] triples, best first.",
    "type": "object",
    "properties": {
        "layers": {"type": "array", "items": {"type": "integer"}},
        **dict.fromkeys(("prob", "rank", "entropy", "kl"), _ROWS),
        "top": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "array", "items": {"type": "array"}}},
        },
    },
}

_loading = threading.Lock()
"""NumPy reads an array's header with `ast`. CPython 3.11 counts the depth of what it parses per interpreter, so where
a garbage collection lets another thread parse in between, it raises SystemError (its issue 106905).
"""


@dataclass(frozen=True, eq=False)
class LensTable:
    """The next tokens by every layer, at every position. L layers, T positions, the k likeliest tokens.

    The curve at position p follows the token at p+1 (at the last position: the model's own top token).
    Ranks count from 0. Entropy and KL (of the model's real output from the layer's) are in nats.
    """

    layers: list[int]
    prob: Floats  # [L, T]
    rank: Ints  # [L, T]
    entropy: Floats  # [L, T]
    kl: Floats  # [L, T]
    top_ids: Ints  # [L, T, k]
    top_probs: Floats  # [L, T, k]
    texts: Mapping[int, str] = field(default_factory=dict)
    """The text of each id in `top_ids`."""

    def __post_init__(self) -> None:
        shape = (len(self.layers), self.prob.shape[1])
        for name in ("prob", "rank", "entropy", "kl"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"lens.{name} has shape {getattr(self, name).shape}, expected {shape}")
        if self.top_ids.shape[:2] != shape or self.top_probs.shape != self.top_ids.shape:
            raise ValueError(
                f"lens.top has shapes {self.top_ids.shape} and {self.top_probs.shape}, expected {shape} + k"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LensTable):
            return NotImplemented
        mine, theirs = vars(self), vars(other)
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]

    @property
    def positions(self) -> int:
        """T."""
        return int(self.prob.shape[1])

    def top(self, layer_index: int, position: int) -> list[tuple[int, str, float]]:
        """The likeliest tokens of one cell: (id, text, probability), best first. `layer_index` is a row, not
        a block.
        """
        ids = self.top_ids[layer_index, position].tolist()
        probs = self.top_probs[layer_index, position].tolist()
        return [(i, self.texts.get(i, ""), p) for i, p in zip(ids, probs, strict=True)]

    def curve(self, position: int, metric: str = "prob") -> list[float]:
        """One metric (prob, rank, entropy, kl) over the layers at one position."""
        if metric not in {"prob", "rank", "entropy", "kl"}:
            raise ValueError(f"there is no lens metric {metric!r}")
        values: list[float] = getattr(self, metric)[:, position].tolist()
        return values

    def json_parts(self) -> Iterator[bytes]:
        """The JSON of design.md in parts of one layer each, so that no single step holds the interpreter for
        long.
        """
        yield b'{"layers":' + to_json(self.layers)
        for name, digits in (("prob", 7), ("rank", 0), ("entropy", 4), ("kl", 5)):
            yield b',"%s":[' % name.encode()
            for i, row in enumerate(getattr(self, name)):
                values = row.tolist() if name == "rank" else np.round(row.astype(np.float64), digits).tolist()
                yield (b"," if i else b"") + to_json(values, inf_nan_mode="null")
            yield b"]"
        yield b',"top":['
        for i in range(len(self.layers)):
            yield (b"," if i else b"") + self._top_row(i)
        yield b"]}"

    def _top_row(self, layer_index: int) -> bytes:
        probs = np.round(self.top_probs[layer_index].astype(np.float64), 6).tolist()
        cells = [
            [[i, self.texts.get(i, ""), p] for i, p in zip(ids, row, strict=True)]
            for ids, row in zip(self.top_ids[layer_index].tolist(), probs, strict=True)
        ]
        return to_json(cells, inf_nan_mode="null")

    def to_blob(self) -> bytes:
        """Compressed, for the store."""
        out = io.BytesIO()
        texts = json.dumps({str(i): t for i, t in self.texts.items()})
        np.savez_compressed(
            out,
            layers=np.asarray(self.layers, np.int32),
            prob=self.prob,
            rank=self.rank,
            entropy=self.entropy,
            kl=self.kl,
            top_ids=self.top_ids,
            top_probs=self.top_probs,
            texts=np.frombuffer(texts.encode(), np.uint8),
        )
        return out.getvalue()

    @classmethod
    def from_blob(cls, blob: bytes) -> LensTable:
        """The inverse of `to_blob`."""
        with _loading, np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            texts = json.loads(arrays["texts"].tobytes())
            return cls(
                layers=arrays["layers"].tolist(),
                texts={int(i): t for i, t in texts.items()},
                **{k: arrays[k] for k in ("prob", "rank", "entropy", "kl", "top_ids", "top_probs")},
            )
