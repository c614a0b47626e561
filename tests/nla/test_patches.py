"""Patches as arithmetic, beside the formulas written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from server.nla.patching.patches import Patch, at_same_angle, random_controls, replacing, steering
from server.nla.types import Floats

D = 64
_random = np.random.default_rng(11)
H: Floats = (30 * _random.normal(size=D)).astype(np.float32)
V: Floats = _random.normal(size=D).astype(np.float32)


def length(v: Floats) -> float:
    return float(np.sqrt(sum(float(x) ** 2 for x in v)))


def test_replacing_keeps_the_length_and_takes_the_direction() -> None:
    found = replacing(0, V).applied(H)
    assert length(found) == pytest.approx(length(H), rel=1e-5)
    assert cosine(found, V) == pytest.approx(0, abs=1e-6)


def test_steering_adds_so_many_lengths_of_the_activation() -> None:
    found = steering(0, V, -0.7).applied(H)
    expected = [h - 0.7 * length(H) * v / length(V) for h, v in zip(H.tolist(), V.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_length_of_a_direction_does_not_matter() -> None:
    for make in (replacing, lambda position, v: steering(position, v, 2.0)):
        np.testing.assert_allclose(make(0, 1000 * V).applied(H), make(0, V).applied(H), rtol=1e-5)


def test_each_row_keeps_its_own_length() -> None:
    rows = torch.from_numpy(np.stack([H, 3 * H, 0 * H]))
    found = replacing(0, V).apply(rows).norm(dim=-1).tolist()
    assert found == pytest.approx([length(H), 3 * length(H), 0], rel=1e-5)


@pytest.mark.parametrize("patch", [replacing(0, V), steering(0, V, 1.0)])
def test_a_type_of_the_model_comes_out_as_it_went_in(patch: Patch) -> None:
    found = patch.apply(torch.from_numpy(H)[None].bfloat16())
    assert found.dtype == torch.bfloat16
    np.testing.assert_allclose(found[0].float(), patch.applied(H), rtol=0.02, atol=0.02 * np.abs(H).max())


@pytest.mark.parametrize("v", [np.zeros(D, np.float32), np.full(D, np.nan, np.float32)])
def test_what_has_no_direction_is_refused(v: Floats) -> None:
    with pytest.raises(ValueError, match="no direction"):
        replacing(0, v)
    with pytest.raises(ValueError, match="no direction"):
        steering(0, v, 1.0)


@pytest.mark.parametrize(
    ("onwards", "start", "count", "expected"),
    [
        (False, 5, 4, [5]),
        (False, 3, 4, [5]),
        (False, 5, 1, [5]),
        (False, 0, 5, []),  # ends before
        (False, 6, 4, []),  # begins after
        (False, 6, 1, []),  # a step of the reply
        (True, 5, 4, [5, 6, 7, 8]),
        (True, 3, 4, [5, 6]),
        (True, 0, 5, []),
        (True, 6, 4, [6, 7, 8, 9]),
        (True, 9, 1, [9]),
    ],
)
def test_a_patch_knows_its_positions(onwards: bool, start: int, count: int, expected: list[int]) -> None:
    part = Patch(5, V, onwards=onwards).within(start, count)
    assert list(range(start, start + count))[part] == expected


def test_random_directions_turn_the_activation_as_far_as_the_replacement() -> None:
    edit = replacing(3, V + H / 20, onwards=True)
    for patch in random_controls(edit, H, 16, 0):
        found = patch.applied(H)
        assert cosine(found, H) == pytest.approx(cosine(edit.applied(H), H), abs=1e-5)
        assert length(found) == pytest.approx(length(H), rel=1e-5)
        assert (patch.position, patch.alpha, patch.onwards) == (3, None, True)


def test_random_directions_push_the_activation_as_far_as_the_steering() -> None:
    edit = steering(3, V, 0.4)
    for patch in random_controls(edit, H, 16, 0):
        assert length(patch.applied(H) - H) == pytest.approx(0.4 * length(H), rel=1e-4)
        assert (patch.position, patch.alpha, patch.onwards) == (3, 0.4, False)


@pytest.mark.parametrize("edit", [replacing(3, V + H / 20), steering(3, V + H / 40, 0.4)])
def test_every_control_is_at_the_angle_of_the_edit(edit: Patch) -> None:
    other = at_same_angle(edit, H, -V + np.roll(V, 7))
    for patch in (other, *random_controls(edit, H, 4, 0)):
        assert cosine(patch.direction, H) == pytest.approx(cosine(edit.direction, H), abs=1e-5)
        assert cosine(patch.applied(H), H) == pytest.approx(cosine(edit.applied(H), H), abs=1e-5)
        assert length(patch.applied(H)) == pytest.approx(length(edit.applied(H)), rel=1e-4)
    aside = [v - (v @ H) / (H @ H) * H for v in (other.direction, -V + np.roll(V, 7))]
    assert cosine(*aside) == pytest.approx(0, abs=1e-5)


def test_what_points_along_the_activation_is_not_turned() -> None:
    with pytest.raises(ValueError, match="cannot be turned"):
        at_same_angle(replacing(0, V), H, -3 * H)


@pytest.mark.parametrize("edit", [replacing(0, V), steering(0, V, 1.0)])
def test_random_directions_follow_from_their_seed_alone(edit: Patch) -> None:
    def directions(seed: int) -> list[list[float]]:
        return [patch.direction.tolist() for patch in random_controls(edit, H, 8, seed)]

    assert directions(1) == directions(1)
    everything = [tuple(direction) for direction in directions(1) + directions(2)]
    assert len(set(everything)) == 16


def test_random_directions_have_nothing_to_do_with_each_other() -> None:
    made = np.stack([patch.direction for patch in random_controls(steering(0, V, 1.0), H, 16, 0)])
    cosines = (made @ made.T)[~np.eye(16, dtype=bool)]
    assert np.abs(cosines).max() < 5 / np.sqrt(D)
