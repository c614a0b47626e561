"""Estimates over problems: exact answers by hand, intervals beside scipy's, planted effects, and false claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from server.studies.resampling import (
    LEAST_CLUSTERS,
    Estimate,
    against_random,
    agreement,
    difference,
    holm,
    share,
)
from server.studies.shuffles import shuffled_blocks, shuffled_within

NAN = math.nan
RUNS, DRAWS, MOST_CLAIMS = 200, 99, 0.07
PROBLEMS, DIGITS = 40, 3


def test_a_share_is_over_what_is_not_missing() -> None:
    found = share([1, 0, NAN, 1, 1], ["a", "a", "a", "b", "c"])
    assert (found.value, found.n, found.interval) == (0.75, 4, None)
    assert (found.null_value, found.null_interval, found.p) == (None, None, None)


@pytest.mark.parametrize("hits", [[], [NAN, NAN]])
def test_a_share_of_nothing_is_none(hits: list[float]) -> None:
    assert share(hits, list(range(len(hits)))) == Estimate(None, None, None, None, 0)


@pytest.mark.parametrize("clusters", [LEAST_CLUSTERS - 1, LEAST_CLUSTERS])
def test_fewer_than_four_clusters_have_no_interval(clusters: int) -> None:
    found = share([1, 0] * clusters, [n for n in range(clusters) for _ in range(2)])
    assert (found.interval is not None) == (clusters >= LEAST_CLUSTERS)


def test_a_cluster_that_is_missing_as_a_whole_does_not_count() -> None:
    assert share([1, 0, 1, NAN], [0, 1, 2, 3]).interval is None


@pytest.mark.parametrize("hit", [0, 1])
def test_hits_that_are_all_alike_have_the_exact_interval_of_their_clusters(hit: int) -> None:
    exact = stats.binomtest(10 * hit, 10).proportion_ci(method="exact")
    assert share([hit] * 30, [n // 3 for n in range(30)]).interval == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("n", [20, 200])
def test_the_interval_of_independent_units_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(1, 2, n)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, method="percentile", rng=1
    ).confidence_interval
    ours = share(values, list(range(n))).interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.12 * values.std() / math.sqrt(n))


def test_the_interval_of_a_difference_of_independent_groups_is_scipys() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(1, 1, 150), random.normal(0, 1, 100)
    theirs = stats.bootstrap(
        (a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), n_resamples=9999, method="percentile", rng=1
    ).confidence_interval
    found = difference(a, list(range(150)), b, list(range(150, 250)))
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert found.interval == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_digits_that_go_together_widen_the_interval() -> None:
    hits = np.repeat(np.random.default_rng(0).normal(0, 1, 60), 3)
    together = share(hits, [n // 3 for n in range(180)]).interval
    apart = share(hits, list(range(180))).interval
    assert together is not None and apart is not None
    assert together[1] - together[0] == pytest.approx(math.sqrt(3) * (apart[1] - apart[0]), rel=0.12)


def test_the_same_seed_gives_the_same_figures() -> None:
    said, made = list("1212121212"), list("1122112211")
    clusters = [n // 2 for n in range(10)]
    assert agreement(said, made, clusters, seed=5) == agreement(said, made, clusters, seed=5)


def test_an_agreement_is_over_pairs_with_both_sides() -> None:
    said = ["1", None, "3", "4", "9"]
    made = ["1", "2", None, "5", "9"]
    found = agreement(said, made, list("abcde"), ["0"] * 5)
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)


def test_a_collection_agrees_with_what_it_holds_and_an_empty_one_with_nothing() -> None:
    found = agreement([["1", "2"], [], None, ("3",), "12"], ["2", "2", "2", "4", "1"], list("abcde"))
    assert (found.value, found.n) == (1 / 4, 4)


def test_an_agreement_of_nothing_is_none() -> None:
    assert agreement([], [], []) == Estimate(None, None, None, None, 0)
    assert agreement([None], ["1"], ["a"], ["0"]) == Estimate(None, None, None, None, 0)


def test_readings_that_all_state_the_same_are_no_evidence() -> None:
    """Every draw ties with what is observed."""
    made = list("1121121121")
    found = agreement(["1"] * 10, made, list(range(10)), ["0"] * 10)
    assert found == agreement(["1"] * 10, made, list(range(10)), ["0"] * 10)
    assert (found.value, found.null_value, found.p) == (0.7, pytest.approx(0.7), 1.0)
    assert found.null_interval == pytest.approx((0.7, 0.7))


def test_the_null_of_four_problems_is_what_all_their_orders_give() -> None:
    """4! = 24 orders of four distinct results: on average one in four agrees; all agree in one order of 24."""
    found = agreement(list("1234"), list("1234"), list("abcd"), ["0"] * 4, draws=24_000)
    assert found.value == 1
    assert found.null_value == pytest.approx(1 / 4, abs=0.01)
    assert found.p == pytest.approx(1 / 24, rel=0.1)


def test_a_block_moves_as_a_whole_and_keeps_its_places() -> None:
    clusters, places = np.repeat(np.arange(6), 3), list(range(3)) * 6
    sources = shuffled_blocks(clusters, places, 50, np.random.default_rng(0))
    assert (np.asarray(places)[sources] == places).all()
    assert (np.ptp(clusters[sources].reshape(50, 6, 3), axis=2) == 0).all()
    assert (np.sort(sources) == np.arange(18)).all()


def test_without_places_a_block_moves_as_a_whole_in_any_order() -> None:
    clusters = np.repeat(np.arange(6), 3)
    sources = shuffled_blocks(clusters, None, 50, np.random.default_rng(0))
    assert (np.ptp(clusters[sources].reshape(50, 6, 3), axis=2) == 0).all()
    assert (np.sort(sources) == np.arange(18)).all()
    assert (sources % 3 != np.arange(18) % 3).any()


def test_problems_with_digits_at_other_places_are_not_mixed_but_where_they_are_rare() -> None:
    lengths = [2] * 5 + [3] * 5 + [1, 4]
    clusters = np.repeat(np.arange(12), lengths)
    places = [place for length in lengths for place in range(length)]
    sources = shuffled_blocks(clusters, places, 200, np.random.default_rng(0))
    common = clusters < 10
    assert (np.asarray(lengths)[clusters[sources]] == np.asarray(lengths)[clusters])[:, common].all()
    rare = sources[:, ~common]
    assert (rare == -1).any() and (clusters[rare[rare >= 0]] >= 10).all()


def test_a_difference_is_one_of_means() -> None:
    found = difference([1, 2, NAN], list("abc"), [4, NAN], list("ab"))
    assert (found.value, found.n, found.interval) == (-2.5, 3, None)


@pytest.mark.parametrize(("a", "b"), [([], []), ([], [1.0]), ([1.0, 2.0], [NAN])])
def test_a_difference_from_nothing_is_none(a: list[float], b: list[float]) -> None:
    assert difference(a, list(range(len(a))), b, list(range(len(b)))).value is None


def test_what_the_places_alone_make_of_a_difference_is_in_its_null() -> None:
    """Right digits stand first and first digits score higher, whatever is right: no effect."""
    random = np.random.default_rng(1)
    place = np.tile(np.arange(2), 60)
    cluster = np.repeat(np.arange(60), 2)
    right = random.random(120) < np.where(place == 0, 0.8, 0.2)
    scores = np.where(place == 0, 1.0, 0.0) + random.normal(0, 0.1, 120)
    sides = [(scores[side], cluster[side].tolist()) for side in (right, ~right)]
    blind = difference(*sides[0], *sides[1])
    found = difference(*sides[0], *sides[1], place[right].tolist(), place[~right].tolist())
    assert found.value is not None and found.value > 0.5
    assert found.null_value == pytest.approx(found.value, abs=0.1)
    assert blind.p is not None and blind.p < 0.01 and found.p is not None and found.p > 0.05


def test_edits_beside_random_directions_that_never_hit() -> None:
    """Of three directions one is the edit's own: in four problems it is taken in one draw of 81."""
    found = against_random([1.0] * 4, [[False, False]] * 4, list("abcd"), draws=20_000)
    assert (found.value, found.null_value, found.null_interval) == (1, 0, (0, 0))
    assert found.p == pytest.approx(1 / 81, rel=0.2)


def test_edits_of_one_problem_are_one_piece_of_evidence() -> None:
    found = against_random([1.0] * 12, [[False] * 8] * 12, ["a"] * 12, draws=9_000)
    assert found.p == pytest.approx(1 / 9, rel=0.1)


def test_edits_without_random_directions_are_not_compared() -> None:
    found = against_random([1.0, 0.0, 0.0], [[True, False], [], [False, False]], list("abc"))
    assert (found.value, found.null_value, found.n) == (pytest.approx(1 / 3), 0.25, 3)
    assert against_random([1.0, 0.0], [[], []], list("ab")) == share([1.0, 0.0], list("ab"))
    assert against_random([], [], []) == Estimate(None, None, None, None, 0)


def test_edits_that_hit_as_often_as_random_directions_claim_hardly_ever_an_effect() -> None:
    """Problems differ in how easily their digit comes out, and the edits of one hit or miss together."""
    claims = 0
    for run in range(RUNS):
        random = np.random.default_rng(run)
        ease = random.beta(0.5, 2, 25)[:, None]
        table = np.repeat(random.random((25, 9)) < ease, 3, axis=0)
        clusters = np.repeat(np.arange(25), 3).tolist()
        hits, by_chance = table[:, 0].astype(float).tolist(), table[:, 1:].tolist()
        found = against_random(hits, by_chance, clusters, draws=DRAWS, seed=run)
        claims += found.p is not None and found.p < 0.05
    assert claims / RUNS < MOST_CLAIMS


def test_an_edit_that_works_now_and_then_is_told_from_random_directions() -> None:
    random = np.random.default_rng(0)
    hits, by_chance = random.random(80) < 0.3, random.random((80, 8)) < 0.05
    found = against_random(hits.astype(float).tolist(), by_chance.tolist(), list(range(80)))
    assert found.null_interval is not None and found.null_interval[1] < (found.value or 0)
    assert found.interval is not None and found.interval[0] < 0.3 < found.interval[1]
    assert found.p is not None and found.p < 0.005


@pytest.mark.parametrize(
    ("ps", "corrected"),
    [
        ([], []),
        ([None], [None]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.01, None, 0.01], [0.02, None, 0.02]),
        ([0.9, 0.6], [1.0, 1.0]),
    ],
)
def test_holms_correction(ps: list[float | None], corrected: list[float | None]) -> None:
    assert holm(ps) == [None if p is None else pytest.approx(p) for p in corrected]


def test_a_shuffle_stays_within_its_groups() -> None:
    shuffled = shuffled_within([1, 2, 3, 10, 20], list("aabbb"), 100, np.random.default_rng(0))
    assert (np.sort(shuffled[:, :2]) == [1, 2]).all() and (np.sort(shuffled[:, 2:]) == [3, 10, 20]).all()
    assert len(np.unique(shuffled, axis=0)) == 12


def _made(
    random: np.random.Generator, agreeing: float, least_first: int = 1, largest_first: int = 3
) -> tuple[list[int | None], list[int], list[int], list[int]]:
    """Readings that name one problem at all digits, the model's own in `agreeing` of the cases; a fifth is missing."""

    def drawn() -> NDArray[np.int64]:
        first = random.integers(least_first, largest_first + 1, (PROBLEMS, 1))
        return np.hstack([first, random.integers(0, 10, (PROBLEMS, DIGITS - 1))])

    answers, others = drawn(), drawn()
    named = np.where(random.random((PROBLEMS, 1)) < agreeing, answers, others)
    missing = random.random((PROBLEMS, DIGITS)) < 0.2
    stated = [
        None if gone else int(digit) for digit, gone in zip(named.ravel(), missing.ravel(), strict=True)
    ]
    clusters = np.repeat(np.arange(PROBLEMS), DIGITS).tolist()
    return stated, answers.ravel().tolist(), clusters, list(range(DIGITS)) * PROBLEMS


@pytest.mark.parametrize("with_places", [True, False])
def test_a_planted_effect_is_found_at_its_size(with_places: bool) -> None:
    stated, produced, clusters, places = _made(np.random.default_rng(0), agreeing=0.5)
    found = agreement(stated, produced, clusters, places if with_places else None)
    by_chance = (1 / 3 + 0.1 + 0.1) / 3
    assert found.interval is not None and found.p is not None
    assert found.interval[0] < 0.5 + 0.5 * by_chance < found.interval[1]
    assert found.p < 0.005


def test_shuffled_readings_claim_hardly_ever_an_effect() -> None:
    claims = 0
    for run in range(RUNS):
        found = agreement(*_made(np.random.default_rng(run), agreeing=0), draws=DRAWS, seed=run)
        claims += found.p is not None and found.p < 0.05
    assert claims / RUNS < MOST_CLAIMS


def test_without_places_hardly_ever_either_where_all_places_have_the_same_digits() -> None:
    claims = 0
    for run in range(RUNS):
        made = _made(np.random.default_rng(run), 0, least_first=0, largest_first=9)
        found = agreement(*made[:3], draws=DRAWS, seed=run)
        claims += found.p is not None and found.p < 0.05
    assert claims / RUNS < MOST_CLAIMS


def test_without_places_it_counts_as_agreement_that_first_digits_are_small() -> None:
    """Which is why no claim rests on it."""
    made = _made(np.random.default_rng(0), agreeing=0)
    within, overall = agreement(*made), agreement(*made[:3])
    assert within.null_value is not None and overall.null_value is not None
    assert within.null_value > overall.null_value + 0.03


def test_digits_that_agree_or_fail_together_do_not_claim_more() -> None:
    """Two kinds of problems and of readings, the same at all six digits: a shuffle digit by digit claims too often."""
    whole = apart = 0
    for run in range(RUNS):
        random = np.random.default_rng(run)
        stated, produced = (np.repeat(random.integers(0, 2, 20), 6).tolist() for _ in range(2))
        clusters, places = np.repeat(np.arange(20), 6).tolist(), list(range(6)) * 20
        found = agreement(stated, produced, clusters, places, draws=DRAWS, seed=run)
        whole += found.p is not None and found.p < 0.05
        single = agreement(stated, produced, list(range(120)), places, draws=DRAWS, seed=run)
        apart += single.p is not None and single.p < 0.05
    assert whole / RUNS < MOST_CLAIMS < 2 * MOST_CLAIMS < apart / RUNS


def test_scores_that_do_not_depend_on_what_is_right_claim_hardly_ever_a_difference() -> None:
    claims = 0
    for run in range(RUNS):
        random = np.random.default_rng(run)
        cluster, place = np.repeat(np.arange(30), 3), np.tile(np.arange(3), 30)
        right = random.random(90) < np.array([0.9, 0.5, 0.4])[place]
        scores = random.normal(0, 1, 30)[cluster] + random.normal(0, 0.3, 90) - 0.5 * place
        found = difference(
            scores[right], cluster[right].tolist(), scores[~right], cluster[~right].tolist(),
            place[right].tolist(), place[~right].tolist(), draws=DRAWS, seed=run,
        )  # fmt: skip
        claims += found.p is not None and found.p < 0.05
    assert claims / RUNS < MOST_CLAIMS


def test_of_several_statistics_together_hardly_any_run_claims_one() -> None:
    """All figures of a study with nothing in it, corrected by Holm's method."""
    claims = 0
    for run in range(RUNS):
        stated, produced, clusters, places = _made(np.random.default_rng(run), agreeing=0)
        wrong = np.random.default_rng([run, 1]).random(len(stated)) < 0.5
        ps = []
        for rows in (np.ones(len(stated), bool), wrong, ~wrong):
            some = np.flatnonzero(rows)
            columns = ([column[n] for n in some] for column in (stated, produced, clusters, places))
            ps.append(agreement(*columns, draws=DRAWS, seed=run).p)
        claims += any(p is not None and p < 0.05 for p in holm(ps))
    assert claims / RUNS < MOST_CLAIMS
