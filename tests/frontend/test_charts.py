from __future__ import annotations

import pytest

from frontend import charts
from frontend.charts import Values


def values(**fields: object) -> Values:
    given: dict[str, object] = {"kind": "next", "name": "c", "prob": [0.0, 0.5, 1.0], "rank": [9, 1, 0]}
    return Values(**(given | fields))  # type: ignore[arg-type]


def made(*more: Values, **fields: object) -> charts.Curve:
    own = {name: fields.pop(name) for name in ("prob", "rank") if name in fields}
    given: dict[str, object] = {
        "layers": [0, 1, 2],
        "values": [values(**own), *more],
        "top": ["a", "b", "c"],
        "reading_layer": 1,
    }
    return charts.curve(**(given | fields))  # type: ignore[arg-type]


def points(curve: charts.Curve) -> list[charts.Point]:
    return curve.series[0].points


def test_points_span_the_drawing() -> None:
    found = points(made())
    assert [(p.x, p.y) for p in (found[0], found[-1])] == [
        (charts.LEFT, charts.HEIGHT - charts.BOTTOM),
        (charts.WIDTH - charts.RIGHT, charts.TOP),
    ]


@pytest.mark.parametrize("scale", ["linear", "log", "rank"])
def test_a_sure_layer_stands_above_an_unsure_one(scale: str) -> None:
    ys = [p.y for p in points(made(scale=scale))]
    assert ys == sorted(ys, reverse=True)


def test_equal_factors_are_equal_steps_on_the_logarithmic_scale() -> None:
    a, b, c = (p.y for p in points(made(scale="log", prob=[1e-4, 1e-2, 1.0])))
    assert a - b == pytest.approx(b - c, abs=0.11)


def test_ranks_are_drawn_by_their_logarithm_from_the_first_choice_down() -> None:
    height = charts.HEIGHT - charts.TOP - charts.BOTTOM
    ys = [p.y for p in points(made(scale="rank", rank=[99_999, 9, 0]))]
    assert ys == pytest.approx([charts.TOP + height, charts.TOP + height / 5, charts.TOP], abs=0.06)


def test_the_layer_of_the_reading_is_marked() -> None:
    mark = made().mark
    assert mark is not None
    assert (mark.label, mark.at) == ("1", points(made())[1].x)


def test_an_unknown_layer_is_not_marked() -> None:
    assert made(reading_layer=None).mark is None


def test_the_selected_layer_is_marked_too() -> None:
    selected = made(selected=2).selected
    assert selected is not None and selected.at == points(made())[2].x


def test_further_lines_stand_beside_the_first_in_the_order_given() -> None:
    curve = made(values(kind="pin", name="d", prob=[0.1] * 3), values(kind="word", name="e", prob=[0.2] * 3))
    assert [series.name for series in curve.series] == ["c", "d", "e"]


def test_only_the_last_point_is_the_models_output() -> None:
    assert [p.is_output for p in points(made())] == [False, False, True]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_probabilities_out_of_range_stay_inside(scale: str) -> None:
    bottom, top = charts.HEIGHT - charts.BOTTOM, charts.TOP
    assert all(top <= p.y <= bottom for p in points(made(prob=[-0.1, 1.2, 1.0], scale=scale)))


def test_one_layer_is_a_curve() -> None:
    assert points(made(layers=[5], prob=[0.5], rank=[0], top=["a"]))[0].is_output


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one value a layer"):
        made(prob=[0.1])
