from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from server.analyses.lens_table import LensTable

L, T, K = 3, 4, 2


@pytest.fixture
def table() -> LensTable:
    random = np.random.default_rng(0)
    cells = random.random((3, L, T), dtype=np.float32)
    return LensTable(
        layers=[0, 5, 9],
        prob=cells[0],
        rank=random.integers(0, 9, (L, T)).astype(np.int32),
        entropy=cells[1],
        kl=cells[2],
        top_ids=np.arange(L * T * K, dtype=np.int32).reshape(L, T, K),
        top_probs=random.random((L, T, K), dtype=np.float32),
        texts={i: f" t{i}\0\u2028\N{CAT FACE}" for i in range(L * T * K)},
    )


def test_json_is_layer_by_position(table: LensTable) -> None:
    document = json.loads(b"".join(table.json_parts()))
    assert set(document) == {"layers", "prob", "rank", "entropy", "kl", "top"}
    assert document["layers"] == [0, 5, 9]
    for i in range(L):
        for p in range(T):
            assert document["prob"][i][p] == pytest.approx(float(table.prob[i, p]), abs=1e-7)
            assert document["rank"][i][p] == int(table.rank[i, p])
            for n, (id, text, prob) in enumerate(document["top"][i][p]):
                assert id == (i * T + p) * K + n
                assert text == table.texts[id]
                assert prob == pytest.approx(float(table.top_probs[i, p, n]), abs=1e-6)


def test_what_is_not_finite_becomes_null(table: LensTable) -> None:
    table.kl[1, 2] = np.inf
    assert json.loads(b"".join(table.json_parts()))["kl"][1][2] is None


def test_a_blob_gives_the_table_back(table: LensTable) -> None:
    again = LensTable.from_blob(table.to_blob())
    assert (again.layers, again.texts) == (table.layers, table.texts)
    for name in ("prob", "rank", "entropy", "kl", "top_ids", "top_probs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))


@pytest.fixture
def collecting() -> Iterator[None]:
    """Many garbage collections, each of which lets other threads go on in the middle of whatever is under way."""
    before = gc.get_threshold()

    def yield_to_others(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    gc.set_threshold(10)
    gc.callbacks.append(yield_to_others)
    yield
    gc.callbacks.remove(yield_to_others)
    gc.set_threshold(*before)


def test_many_threads_may_read_blobs_at_once(table: LensTable, collecting: None) -> None:
    blob = table.to_blob()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(LensTable.from_blob, [blob] * 400))
    assert {tuple(table.layers) for table in found} == {(0, 5, 9)}


def test_a_cell_and_a_curve(table: LensTable) -> None:
    (first, text, prob), _ = table.top(2, 1)
    assert (first, text, prob) == (18, table.texts[18], float(table.top_probs[2, 1, 0]))
    assert table.curve(3) == [float(table.prob[i, 3]) for i in range(L)]
    assert table.curve(0, "rank") == [int(table.rank[i, 0]) for i in range(L)]
    with pytest.raises(ValueError, match="no lens metric 'top_ids'"):
        table.curve(0, "top_ids")


def test_arrays_that_do_not_fit_are_refused(table: LensTable) -> None:
    with pytest.raises(ValueError, match=r"lens.kl has shape \(3, 3\)"):
        LensTable(**{**vars(table), "kl": table.kl[:, :3]})
