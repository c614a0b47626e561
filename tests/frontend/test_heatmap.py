"""The numbers of the lens map."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest

from frontend.lens import heatmap
from tests.frontend import made

COUNT = len(made.CHAT)


def decoded(metric: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    found = heatmap.cells(made.lens(COUNT), made.tokens(), metric, 20)
    return np.frombuffer(base64.b64decode(found["cells"]), np.uint8).reshape(made.LAYERS, COUNT)


def test_a_byte_a_cell_from_the_first_layer_on() -> None:
    lens = made.lens(COUNT)
    assert decoded("prob")[7, 5] == round(255 * float(lens.prob[7, 5]))


def test_ranks_go_by_their_logarithm() -> None:
    lens = made.lens(COUNT)
    expected = 1 - math.log10(int(lens.rank[20, 4]) + 1) / 5
    assert decoded("rank")[20, 4] == pytest.approx(255 * expected, abs=0.51)


@pytest.mark.parametrize(("metric", "name"), [("entropy", "entropy"), ("kl", "kl")])
def test_less_entropy_and_less_distance_are_deeper(metric: str, name: str) -> None:
    column = getattr(made.lens(COUNT), name)[:, 3]
    order = np.argsort(column, kind="stable")
    assert (np.diff(decoded(metric)[order, 3].astype(int)) <= 0).all()


def test_first_guesses_are_texts_by_number() -> None:
    lens = made.lens(COUNT)
    found = heatmap.cells(lens, made.tokens(), "top", 20)
    first = np.frombuffer(base64.b64decode(found["first"]), "<u4").reshape(made.LAYERS, COUNT)
    assert found["texts"][first[3, 2]] == "·sleep"


def test_numbers_that_are_none_are_pale() -> None:
    lens = made.lens(COUNT)
    lens.prob[0, 0] = np.nan
    found = heatmap.cells(lens, made.tokens(), "prob", None)
    assert base64.b64decode(found["cells"])[0] == 0


def test_a_large_map_is_sent_in_little_more_than_a_byte_a_cell() -> None:
    from server.analyses.lens_table import LensTable

    values = np.zeros((80, 500), np.float32)
    top = np.zeros((80, 500, 5), np.int32)
    lens = LensTable(list(range(80)), values, top[:, :, 0], values, values, top, top.astype(np.float32))
    assert len(heatmap.cells(lens, [], "prob", 53)["cells"]) < 80 * 500 * 1.34
