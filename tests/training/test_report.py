"""The intervals of the demo pair's card."""

from __future__ import annotations

import numpy as np
import pytest

from training.report import interval

RNG = np.random.default_rng(0)


def width(values: np.ndarray[tuple[int], np.dtype[np.float64]], texts: list[int]) -> float:
    low, high = interval(values.astype(np.float32), texts)
    return high - low


def test_positions_of_one_text_that_are_alike_count_as_one() -> None:
    of_text = RNG.normal(size=30)
    texts = [n for n in range(30) for _ in range(20)]
    assert width(of_text.repeat(20), texts) == pytest.approx(width(of_text, list(range(30))), rel=1e-4)


def test_independent_positions_have_the_interval_of_their_mean() -> None:
    values = RNG.normal(size=900)
    texts = [n for n in range(90) for _ in range(10)]
    assert width(values, texts) == pytest.approx(2 * 1.96 * values.std() / 30, rel=0.15)
