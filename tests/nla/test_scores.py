from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from server.nla import scores
from server.nla.flags import flags, is_content
from server.nla.prompt import Piece
from server.nla.scores import Scorer, baselines, score, units

RNG = np.random.default_rng(0)
H = RNG.normal(size=(6, 16)).astype(np.float32)
R = (H + RNG.normal(size=(6, 16))).astype(np.float32)


def test_cosine_is_scipys() -> None:
    assert score(H[0], R[0], None).cos == pytest.approx(1 - cosine(H[0], R[0]))


def test_mse_is_that_of_vectors_scaled_to_sqrt_d() -> None:
    h, r = (v / np.linalg.norm(v) * np.sqrt(16) for v in (H[0], R[0]))
    assert score(H[0], R[0], None).mse == pytest.approx(np.mean((h - r) ** 2), rel=1e-6)


def test_fve_is_one_minus_mse_over_v() -> None:
    found = score(H[0], R[0], 0.7335)
    assert found.fve == pytest.approx(1 - found.mse / 0.7335)


def test_fve_is_unknown_without_v() -> None:
    assert score(H[0], R[0], None).fve is None


def test_a_zero_vector_scores_zero_cosine() -> None:
    assert score(H[0], np.zeros(16, np.float32), 0.5).cos == 0.0


def test_a_texts_readings_are_scored_as_each_by_itself() -> None:
    for n, found in enumerate(Scorer(H, 0.7, range(len(H))).compare(range(6), R)):
        alone = score(H[n], R[n], 0.7)
        assert (found.cos, found.mse, found.fve) == pytest.approx((alone.cos, alone.mse, alone.fve))


def test_a_texts_activations_are_scaled_once_for_all_its_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = []
    monkeypatch.setattr(scores, "units", lambda rows: scaled.append(np.shape(rows)) or units(rows))
    scorer = Scorer(H, None, range(len(H)))
    for n in range(6):
        scorer.compare([n], R[n : n + 1])
    assert scaled.count(H.shape) == 1


def test_an_activation_that_overflowed_is_near_to_nothing() -> None:
    h = H.copy()
    h[3] = np.inf
    assert [each.rank for each in Scorer(h, None, range(len(h))).compare([0, 1, 2], H[:3])] == [1, 1, 1]


def test_equal_activations_are_equally_near() -> None:
    h = np.concatenate([H, H[2:3]])
    first, second = Scorer(h, None, range(len(h))).compare([2, 6], np.stack([R[2], R[2]]))
    assert first.rank == second.rank


def test_rank_counts_the_nearer_activations() -> None:
    ranks = [each.rank for each in Scorer(H, None, range(len(H))).compare(range(6), R[::-1])]
    for n, rank in enumerate(ranks):
        order = sorted(range(6), key=lambda m: cosine(H[m], R[5 - n]))
        assert rank == order.index(n) + 1


def test_a_reading_is_ranked_among_the_pool_and_its_own_activation() -> None:
    inside, outside = Scorer(H, None, [1, 2, 3]).compare([2, 5], R[[2, 5]])
    for found, index, pool in ((inside, 2, [1, 2, 3]), (outside, 5, [1, 2, 3, 5])):
        order = sorted(pool, key=lambda m: cosine(H[m], R[index]))
        assert (found.rank, found.rank_of) == (order.index(index) + 1, len(pool))


def test_the_nearest_are_counted_among_a_hundred_however_long_the_text_is() -> None:
    h = RNG.normal(size=(300, 16)).astype(np.float32)
    r = (h + 1.5 * RNG.normal(size=h.shape)).astype(np.float32)
    share, of = scores.nearest_share(h, r, range(300), range(300))
    among_all = np.mean([each.rank == 1 for each in Scorer(h, None, range(300)).compare(range(300), r)])
    assert of == 100
    assert among_all < share
    assert scores.nearest_share(h, r, range(300), range(300)) == (share, of)


def test_the_nearest_are_counted_among_all_where_there_are_fewer() -> None:
    share, of = scores.nearest_share(H, R, range(6), range(6))
    assert of == 6
    assert share == np.mean([each.rank == 1 for each in Scorer(H, None, range(6)).compare(range(6), R)])


@pytest.mark.parametrize(
    ("position", "special", "marks", "expected"),
    [
        (30, False, [], True),
        (3, False, ["early"], True),
        (30, False, ["glyph-part"], True),
        (0, False, ["early"], False),
        (30, True, ["template"], False),
        (30, True, ["end-of-turn"], False),
        (30, False, ["huge-norm"], False),
    ],
)
def test_content_is_what_somebody_wrote_and_no_sink(
    position: int, special: bool, marks: list[str], expected: bool
) -> None:
    assert is_content(position, special, marks) is expected


def test_shuffled_baseline_is_the_mean_over_wrong_pairs() -> None:
    expected = np.mean([1 - cosine(H[a], R[b]) for a in range(6) for b in range(6) if a != b])
    assert baselines(H, R, range(6), None).shuffled_cos == pytest.approx(expected)


def test_mean_baseline_leaves_the_position_itself_out() -> None:
    u = H / np.linalg.norm(H, axis=1, keepdims=True)
    expected = np.mean([1 - cosine(u[n], np.delete(u, n, 0).mean(0)) for n in range(6)])
    assert baselines(H, R, range(6), 0.9).mean_cos == pytest.approx(expected, rel=1e-5)


def test_samples_of_one_position_are_not_wrong_pairs() -> None:
    found = baselines(H[:2], np.stack([R[0], R[0], R[1]]), [0, 0, 1], None)
    expected = np.mean([1 - cosine(H[1], R[0]), 1 - cosine(H[1], R[0]), 1 - cosine(H[0], R[1])])
    assert found.shuffled_cos == pytest.approx(expected)


def test_one_position_has_no_baselines() -> None:
    assert baselines(H[:1], R[:1], [0], 0.5).shuffled_cos is None


def piece(**changes: object) -> Piece:
    return Piece(
        **(
            {"id": 5, "text": "x", "kind": "prompt", "role": "user", "special": False, "glyph": None}
            | changes
        )
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("position", "changes", "norm", "expected"),
    [
        (30, {}, 100.0, []),
        (3, {}, 100.0, ["early"]),
        (30, {"special": True}, 100.0, ["template"]),
        (30, {"special": True, "ends_turn": True}, 100.0, ["end-of-turn"]),
        (30, {}, 14357.0, ["huge-norm"]),
        (30, {"glyph": (29, 31)}, 100.0, ["glyph-part"]),
    ],
)
def test_positions_outside_what_pairs_are_trained_on_are_flagged(
    position: int, changes: dict[str, object], norm: float, expected: list[str]
) -> None:
    assert flags(position, piece(**changes), norm, 110.0) == expected
