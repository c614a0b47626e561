from __future__ import annotations

import pytest

from frontend import charts


def made(**fields: object) -> charts.Curve:
    values: dict[str, object] = {
        "layers": [0, 1, 2],
        "prob": [0.0, 0.5, 1.0],
        "rank": [9, 1, 0],
        "top": ["a", "b", "c"],
        "target": "c",
        "reading_layer": 1,
    }
    return charts.curve(**(values | fields))  # type: ignore[arg-type]


def test_points_span_the_drawing() -> None:
    curve = made()
    assert [(p.x, p.y) for p in (curve.points[0], curve.points[-1])] == [
        (charts.LEFT, charts.HEIGHT - charts.BOTTOM),
        (charts.WIDTH - charts.RIGHT, charts.TOP),
    ]


def test_a_sure_layer_stands_above_an_unsure_one() -> None:
    ys = [p.y for p in made().points]
    assert ys == sorted(ys, reverse=True)


def test_the_layer_of_the_reading_is_marked() -> None:
    mark = made().mark
    assert mark is not None
    assert (mark.label, mark.at) == ("1", made().points[1].x)


def test_an_unknown_layer_is_not_marked() -> None:
    assert made(reading_layer=None).mark is None


def test_only_the_last_point_is_the_models_output() -> None:
    assert [p.is_output for p in made().points] == [False, False, True]


def test_probabilities_out_of_range_stay_inside() -> None:
    assert {p.y for p in made(prob=[-0.1, 1.2, 1.0]).points} == {charts.HEIGHT - charts.BOTTOM, charts.TOP}


def test_one_layer_is_a_curve() -> None:
    assert made(layers=[5], prob=[0.5], rank=[0], top=["a"]).points[0].is_output


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one value a layer"):
        made(prob=[0.1])
