"""The numbers of a chart."""

from __future__ import annotations

import json

import pytest

from frontend.lens.charts import Curve, Series


def series(**fields: object) -> Series:
    given: dict[str, object] = {"kind": "next", "name": "c", "prob": [0.0, 0.5, 1.0], "rank": [9, 1, 0]}
    return Series(**(given | fields))  # type: ignore[arg-type]


def test_all_that_is_drawn_is_in_the_data() -> None:
    curve = Curve(
        [0, 1, 30], [series(), series(kind="word", name="e")], ["a", "b", "c"], "rank", 1, selected=30
    )
    assert json.loads(curve.data) == {
        "scale": "rank",
        "layers": [0, 1, 30],
        "read": 1,
        "also": [],
        "selected": 30,
        "top": ["a", "b", "c"],
        "series": [{"name": name, "prob": [0, 0.5, 1], "rank": [9, 1, 0]} for name in ("c", "e")],
    }


def test_further_layers_that_are_read_are_named_once_and_without_the_panels_own() -> None:
    curve = Curve([0, 1, 2], [series()], ["a", "b", "c"], read=1, also_read=[2, 1, 0, 2])
    assert json.loads(curve.data)["also"] == [0, 2]


def test_a_small_probability_keeps_its_digits() -> None:
    curve = Curve([0], [series(prob=[1.23456e-7], rank=[80_000])], ["a"])
    assert json.loads(curve.data)["series"][0]["prob"] == [1.235e-7]


@pytest.mark.parametrize("fields", [{"prob": [0.1]}, {"rank": [1, 2]}])
def test_lengths_must_agree(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="one value a layer"):
        Curve([0, 1, 2], [series(**fields)], ["a", "b", "c"])


def test_without_layers_there_is_no_curve() -> None:
    with pytest.raises(ValueError, match="0 layers"):
        Curve([], [], [])
