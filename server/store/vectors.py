"""Vectors as blobs: one letter for the type, the shape, a scale, the numbers.

Activations are what everything is measured against, so they are kept exactly, in float32. Reconstructions are
kept in float16 with a common scale per blob: half the room, an error of a thousandth, and no overflow
(Gemma's vectors exceed float16's range).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<cIIf")
_TYPES: dict[bytes, np.dtype[Any]] = {b"f": np.dtype("<f4"), b"e": np.dtype("<f2")}


def pack(vectors: NDArray[np.float32], *, exact: bool) -> bytes:
    """[n, d] or [d] → bytes; `exact` keeps float32."""
    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    peak = float(np.abs(rows).max(initial=0.0))
    scale = 1.0 if exact or peak == 0.0 else peak
    kind = b"f" if exact else b"e"
    return _HEADER.pack(kind, *rows.shape, scale) + (rows / np.float32(scale)).astype(_TYPES[kind]).tobytes()


def unpack(blob: bytes) -> NDArray[np.float32]:
    """Bytes → [n, d] float32."""
    kind, n, d, scale = _HEADER.unpack_from(blob)
    numbers: NDArray[np.float32] = np.frombuffer(blob, _TYPES[kind], offset=_HEADER.size).astype(np.float32)
    return numbers.reshape(n, d) * np.float32(scale)


def pack_ids(ids: list[int]) -> bytes:
    """Token ids → bytes."""
    return np.asarray(ids, "<i4").tobytes()


def unpack_ids(blob: bytes) -> list[int]:
    """The inverse of `pack_ids`."""
    ids: list[int] = np.frombuffer(blob, "<i4").tolist()
    return ids
