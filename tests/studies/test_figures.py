"""The figures over hand-made readings whose answers are known exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from server.studies.multiplication_figures import figures
from server.studies.requests import MultiplicationRequest
from server.studies.schema import Case, DigitEdit, DigitResult, Figures, ReadingResult, Statistic
from tests.studies.sums import asked


def reading(**said: object) -> ReadingResult:
    return ReadingResult.model_validate(
        {"position": 1, "token": "1", "url": "/a/x?t=1", "text": "words"} | said
    )


def case(
    number: int, answer: str, product: int, readings: Sequence[ReadingResult], edits: Sequence[DigitEdit] = ()
) -> Case:
    """An answer whose readings at and before each digit are the same."""
    correct = str(product)
    return Case(
        number=number,
        label=f"case {number}",
        answer=answer or None,
        factors=(product, 1),
        product=product,
        exact=answer == correct,
        digits=[
            DigitResult(
                place=n,
                digit=digit,
                correct=correct[n] if n < len(correct) else None,
                right=correct[n : n + 1] == digit,
                prefix_right=answer[:n] == correct[:n],
                position=n,
                at=readings[n],
                before=readings[n],
                first_layer=None if n else number,
                ranks=[3, 0] if n == 0 else [3, 1],
                edits=list(edits),
            )
            for n, digit in enumerate(answer)
        ],
    )


def told(cases: Sequence[Case], **more: object) -> Figures:
    request = asked(**more)  # type: ignore[arg-type]
    assert isinstance(request, MultiplicationRequest)
    return figures(cases, request)


def before(cases: Sequence[Case], name: str, **more: object) -> Statistic:
    return told(cases, **more).statistics["before"][name]


def test_the_same_digit_of_a_stated_result() -> None:
    cases = [
        case(0, "12", 12, [reading(stated=19), reading(stated=19)]),  # 1 is 1, 9 is not 2
        case(1, "34", 34, [reading(stated=34), reading(stated=7)]),  # 3 is 3; a 7 has no second digit
        case(2, "5", 6, [reading(stated=None)]),  # nothing is stated
    ]
    found = before(cases, "same_digit")
    assert (found.value, found.n, found.cases) == (pytest.approx(2 / 3), 3, 2)
    silent = before(cases, "states_a_result")
    assert (silent.value, silent.n) == (pytest.approx(4 / 5), 5)


def test_hints_on_wrong_digits_alone_and_by_the_prefix() -> None:
    cases = [
        case(0, "19", 12, [reading(hinted=["5"]), reading(hinted=["9", "3"])]),  # wrong at 9, hints it
        case(
            1, "88", 12, [reading(hinted=["1"]), reading(hinted=["7"])]
        ),  # wrong at both: hints 1, the correct one
        case(2, "12", 12, [reading(hinted=["1"]), reading(hinted=["2"])]),  # right: does not count
    ]
    produced = before(cases, "hints_produced_when_wrong")
    assert (produced.value, produced.n) == (pytest.approx(1 / 3), 3)
    assert before(cases, "hints_correct_when_wrong").value == pytest.approx(1 / 3)
    right, wrong = (before(cases, f"hints_produced_when_wrong_prefix_{p}") for p in ("right", "wrong"))
    assert (right.value, right.n, wrong.value, wrong.n) == (pytest.approx(1 / 2), 2, 0, 1)


def test_stated_and_true_results() -> None:
    cases = [
        case(n, "1", 1, [reading(problem=(8, 5), stated=stated, true=40)])
        for n, stated in enumerate((40, 400, 4, 41))
    ]
    assert before(cases, "stated_is_true").value == pytest.approx(1 / 4)
    magnitude = before(cases, "stated_log10_ratio")
    assert magnitude.value == pytest.approx((0 + 1 + 1 + 0.0107) / 4, abs=1e-3)
    assert magnitude.p is None


def test_scores_and_layers_of_right_and_wrong_digits() -> None:
    cases = [
        case(0, "12", 12, [reading(fve=0.8), reading(fve=0.6)]),
        case(1, "34", 39, [reading(fve=0.4), reading(fve=0.1)]),
        case(2, "5", 6, [reading(fve=None)]),
    ]
    found = told(cases).statistics
    assert found["at"]["fve_right"].value == pytest.approx(0.6)
    assert found["at"]["fve_wrong"].value == pytest.approx(0.1)
    assert (found["at"]["fve_difference"].value, found["at"]["fve_difference"].n) == (pytest.approx(0.5), 4)
    assert "causal_right" not in found["at"]
    assert found["lens"]["first_layer_right"].value == pytest.approx(0.5)
    assert found["lens"]["becomes_first_right"].value == pytest.approx(2 / 3)


def test_how_right_the_answers_are() -> None:
    nothing = [reading()] * 3
    cases = [
        case(0, "12", 12, nothing),
        case(1, "13", 12, nothing),
        case(2, "", 7, []),
        case(3, "1", 123, nothing),
    ]
    found = told(cases).statistics["answers"]
    values = {name: (statistic.value, statistic.n) for name, statistic in found.items()}
    assert values == {
        "answered": (pytest.approx(3 / 4), 4),
        "exact": (pytest.approx(1 / 4), 4),
        "right_length": (pytest.approx(2 / 3), 3),
        "digit_1_right": (1, 3),
        "digit_2_right": (pytest.approx(1 / 2), 2),
        "exact_of_1_digits": (0, 1),
        "exact_of_2_digits": (pytest.approx(1 / 2), 2),
        "exact_of_3_digits": (0, 1),
    }
    assert any("To 1 of 4 prompts" in note for note in told(cases).notes)


def test_what_edits_do() -> None:
    def edit(alpha: float, outcome: str, prob: float) -> DigitEdit:
        return DigitEdit.model_validate(
            {"alpha": alpha, "intended": "7", "first": "7", "outcome": outcome, "prob": prob}
            | {
                "random_prob": 0.1,
                "kl": 1,
                "random_kl": 0.5,
                "url": "/a/x",
                "random_hits": [True] + [False] * 3,
            }
        )

    edits = [edit(1, "produced", 0.2), edit(2, "intended", 0.8)]
    found = told([case(0, "1", 1, [reading()], edits)], edit_alphas=[1, 2]).statistics["edits"]
    assert [found[f"intended_at_{alpha}"].value for alpha in (1, 2)] == [0, 1]
    assert found["prob_over_random_at_2"].value == pytest.approx(0.7)
    nulls = [found[f"intended_at_{alpha}"].null for alpha in (1, 2)]
    assert [null and null.value for null in nulls] == [0.25, 0.25]
    assert found["intended_at_2"].p == pytest.approx(
        0.4, abs=0.05
    )  # its own, or the one of four that hits: 2 of 5
    assert found["other_at_2"].null is None


def test_comparisons_are_corrected_together() -> None:
    cases = [
        case(n, str(n % 9 + 1), 5, [reading(stated=n % 9 + 1, hinted=[str(n % 9 + 1)])]) for n in range(40)
    ]
    found = told(cases)
    each = [s for group in found.statistics.values() for s in group.values() if s.p is not None]
    assert found.comparisons == len(each) > 1
    assert all(s.p_corrected is not None and s.p is not None and s.p_corrected >= s.p for s in each)
    assert any(f"{len(each)} comparisons are corrected" in note for note in found.notes)
    same = found.statistics["at"]["same_digit"]
    assert same.value == 1 and same.null is not None and (same.null.value or 1) < 0.3
    assert (same.p_corrected or 1) < 0.05


def test_readings_without_digits_are_an_honest_null() -> None:
    cases = [case(n, "12", 13, [reading(), reading()]) for n in range(8)]
    found = told(cases)
    hints, same = (found.statistics["at"][name] for name in ("hints_produced_when_wrong", "same_digit"))
    assert (hints.value, hints.n) == (0, 8)
    assert hints.interval is not None
    assert hints.interval[0] == 0 < hints.interval[1] < 0.5  # eight problems do not prove that there is none
    assert (same.value, same.interval, same.n) == (None, None, 0)
    assert sum("states a result" in note for note in found.notes) == 2


@pytest.mark.parametrize("cases", [[], [Case(number=0, label="x", error="too long")], [case(0, "", 12, [])]])
def test_nothing_at_all_is_told_as_that(cases: list[Case]) -> None:
    found = told(cases, causal=True, edit_alphas=[1])
    assert all(s.n == 0 for s in found.statistics["at"].values())


def drawn_cases(random: np.random.Generator, agreeing: float) -> list[Case]:
    """Thirty answers of two digits, half of them wrong; the readings of `agreeing` of them state and hint what the
    model wrote, those of the others what it wrote to a problem that was drawn at random.
    """
    cases = []
    for number in range(30):
        product, answer, other = (int(n) for n in random.integers(10, 100, 3))
        answer = product if random.random() < 0.5 else answer
        named = str(answer if random.random() < agreeing else other)
        fve = random.normal(0.5, 0.1, 2)
        readings = [reading(stated=int(named), hinted=[named[n]], fve=fve[n]) for n in range(2)]
        cases.append(case(number, str(answer), product, readings))
    return cases


def claims(found: Figures) -> set[str]:
    """What the readings are said to hold: the statistics at the digits that are told from chance."""
    at = found.statistics["at"]
    return {name for name, one in at.items() if one.p_corrected is not None and one.p_corrected < 0.05}


def test_a_study_whose_readings_are_those_of_other_problems_hardly_ever_claims_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The intervals, which take most of the time, claim nothing here."""
    monkeypatch.setattr("server.studies.resampling.RESAMPLES", 2)
    monkeypatch.setattr("server.studies.multiplication_figures.DRAWS", 499)
    runs = [bool(claims(told(drawn_cases(np.random.default_rng(run), 0), seed=run))) for run in range(200)]
    assert sum(runs) / 200 < 0.07


def test_a_study_with_a_planted_effect_finds_it_at_its_size() -> None:
    found = told(drawn_cases(np.random.default_rng(0), 0.6))
    same = found.statistics["at"]["same_digit"]
    by_chance = (1 / 9 + 1 / 10) / 2
    assert same.interval is not None and same.interval[0] < 0.6 + 0.4 * by_chance < same.interval[1]
    assert same.null is not None and same.null.value == pytest.approx(by_chance, abs=0.05)
    assert {"same_digit", "hints_produced_when_wrong"} <= claims(found)
