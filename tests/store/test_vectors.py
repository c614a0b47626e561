from __future__ import annotations

import numpy as np
import pytest

from server.store.vectors import pack, pack_ids, unpack, unpack_ids


@pytest.mark.parametrize("size", [1e-3, 1.0, 80_000.0, 1e30])
def test_exact_vectors_come_back_bit_by_bit(size: float) -> None:
    vectors = (np.random.default_rng(0).normal(size=(5, 7)) * size).astype(np.float32)
    np.testing.assert_array_equal(unpack(pack(vectors, exact=True)), vectors)


@pytest.mark.parametrize("size", [1e-3, 1.0, 80_000.0, 1e30])
def test_small_vectors_keep_their_direction_and_length(size: float) -> None:
    vector = (np.random.default_rng(0).normal(size=576) * size).astype(np.float32)
    (again,) = unpack(pack(vector, exact=False)).astype(np.float64)
    wide = vector.astype(np.float64)
    assert again @ wide / np.linalg.norm(again) / np.linalg.norm(wide) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(again) == pytest.approx(np.linalg.norm(wide), rel=1e-3)


def test_small_vectors_take_half_the_room() -> None:
    vectors = np.ones((10, 100), np.float32)
    assert len(pack(vectors, exact=False)) == pytest.approx(len(pack(vectors, exact=True)) / 2, abs=20)


def test_zero_stays_zero() -> None:
    np.testing.assert_array_equal(unpack(pack(np.zeros(4, np.float32), exact=False)), np.zeros((1, 4)))


def test_ids() -> None:
    ids = [0, 1, 151_643, 2**31 - 1]
    assert unpack_ids(pack_ids(ids)) == ids
    assert unpack_ids(pack_ids([])) == []
