"""What readings of the demo pair claim."""

from __future__ import annotations

import numpy as np
import pytest

from training.claims import by_certainty, judged, parsed
from training.rounds import (
    Sampled,
    Surely,
    best,
    calibration,
    candidates,
    certainty,
    corrected,
    first_candidate,
)

FINAL = 'The final token is " is"; next may be '
REST = ' It reads like "She said "no". It is".'


@pytest.mark.parametrize(
    ("listed", "sure", "candidates"),
    [
        ('" a", " the" or " not"', "likely", ('" a"', '" the"', '" not"')),
        ('",", "." or a line break', "a guess", ('","', '"."', "a line break")),
        ('" or" or " ,"', "a guess", ('" or"', '" ,"')),
        ('": the" or ":"', "a guess", ('": the"', '":"')),
        ("the end-of-turn mark", "almost certain", ("the end-of-turn mark",)),
        ('3 blanks or "?"', "a guess", ("3 blanks", '"?"')),
    ],
)
def test_a_reading_comes_apart_and_together_again(
    listed: str, sure: str, candidates: tuple[str, ...]
) -> None:
    reading = f"{FINAL}{listed}: the first is {sure}.{REST}"
    claims = parsed(reading)
    assert claims is not None
    assert (claims.token, claims.candidates, claims.sure) == ('" is"', candidates, sure)
    assert claims.recent == REST.strip()
    assert claims.text == reading
    start, end = first_candidate(reading)
    assert (start, reading[start:end]) == (len(FINAL), candidates[0])
    start, end = certainty(reading)
    assert (reading[start:end], reading[end:]) == (sure, f".{REST}")


def test_quoted_candidates_are_found_where_they_begin() -> None:
    reading = f'{FINAL}" is", a line break, " a" or " is": the first is a guess.{REST}'
    assert [reading[at : at + 3] for at in candidates(reading)] == [" is", ' a"', " is"]
    assert candidates("Something about owls.") == []


def test_a_reading_without_a_claim_keeps_the_others() -> None:
    claims = parsed(f'{FINAL}" a": the first is likely.{REST}')
    assert claims is not None
    assert claims.without("final token") == f'Next may be " a": the first is likely.{REST}'
    assert claims.without("next tokens") == 'The final token is " is".' + REST
    assert claims.without("recent words") == f'{FINAL}" a": the first is likely.'


def test_a_claim_is_held_against_what_is_true_there_and_elsewhere_in_the_text() -> None:
    tokens = (
        "abaacb"  # texts 7, 7, 7, 9, 9, 4: the next one of the text is another token, the same, another …
    )
    true = [
        parsed(f'The final token is "{token}"; next may be "{token}": the first is likely.{REST}')
        for token in tokens
    ]
    kept = [claims for claims in true if claims is not None]
    own, other = judged(kept, kept, [7, 7, 7, 9, 9, 4])["final token"]
    assert own.tolist() == [1.0] * 6
    assert other[:5].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert np.isnan(other[5])  # the only one of its text
    said, hits = by_certainty(kept, [*kept[1:], kept[0]])["likely"]
    assert (said, hits.tolist()) == ([0, 1, 2, 3, 4, 5], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])


def test_other_words_are_no_claims() -> None:
    assert parsed("Something about owls.") is None
    assert parsed(f'{FINAL}" a": the first is beyond doubt.{REST}') is None


def test_a_candidate_that_differs_in_form_alone_is_repeated() -> None:
    for listed, repeats in (('" been", " worked" or " Been"', True), ('" been" or " worked"', False)):
        claims = parsed(f"{FINAL}{listed}: the first is a guess.{REST}")
        assert claims is not None and claims.repeats is repeats


def test_what_can_be_known_is_put_right_and_the_free_words_are_kept() -> None:
    true = f'The final token is " is"; next may be " a" or " b": the first is likely.{REST}'
    said = (
        'The final token is " was"; next may be " c": the first is a guess. It reads like "Long ago it was".'
    )
    given = [
        Sampled(0, said, False),
        Sampled(0, said, True),  # cut short
        Sampled(0, "Something else.", False),
    ]
    (found,) = corrected(given, [true])
    assert found.text == true.replace('She said "no". It is', "Long ago it was")


def test_the_best_reading_of_each_position_is_kept() -> None:
    given = [Sampled(0, "a", False, 0.5), Sampled(1, "b", False, 0.7), Sampled(0, "c", False, 0.8)]
    assert {r.position: r.text for r in best(given)} == {0: "c", 1: "b"}


def test_words_for_certainty_mean_how_often_they_are_right() -> None:
    # Of the ten that the AV is surest of nine are right, of the nine after them six, of the rest none.
    right = [*[True] * 9, False, *[False, True, True] * 3, *[False] * 20]
    probabilities = [1 - n / 100 for n in range(len(right))]
    found = calibration(probabilities, right)
    assert found == Surely(probabilities[9], probabilities[18])
    assert [found.word(p) for p in (0.95, 0.85, 0.8)] == ["almost certain", "likely", "a guess"]


def test_an_av_that_is_never_right_is_never_sure() -> None:
    assert calibration([0.9, 0.8], [False, False]).word(1.0) == "a guess"
