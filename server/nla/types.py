"""Array types shared by all rooms of this package, free of torch."""

from __future__ import annotations

import numpy as np

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int32]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
