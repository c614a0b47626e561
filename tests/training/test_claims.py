"""What readings of the demo pair claim."""

from __future__ import annotations

import numpy as np
import pytest

from training.claims import judged, parsed, sure
from training.rounds import Sampled, winners

FINAL = 'The final token is " is"; next '
REST = ' The text runs "She said "no". It is". This is the user\'s story.'


@pytest.mark.parametrize(
    ("next", "hedge", "candidates"),
    [
        ('probably " a", " the" or " not".', "probably", ('" a"', '" the"', '" not"')),
        ('perhaps ",", "." or a line break.', "perhaps", ('","', '"."', "a line break")),
        ('perhaps " or" or " ,".', "perhaps", ('" or"', '" ,"')),
        ("comes the end-of-turn mark.", "comes", ("the end-of-turn mark",)),
        ('perhaps 3 blanks or "?".', "perhaps", ("3 blanks", '"?"')),
    ],
)
def test_a_reading_comes_apart_and_together_again(next: str, hedge: str, candidates: tuple[str, ...]) -> None:
    reading = FINAL + next + REST
    claims = parsed(reading)
    assert claims is not None
    assert (claims.token, claims.hedge, claims.candidates) == ('" is"', hedge, candidates)
    assert claims.setting == "This is the user's story"
    assert claims.text == reading


def test_what_is_said_of_the_topic_is_no_part_of_role_and_genre() -> None:
    reading = f'{FINAL}comes " a".' + REST.replace("story", "story about the sea")
    claims = parsed(reading)
    assert claims is not None
    assert (claims.setting, claims.topic) == ("This is the user's story", " about the sea")
    assert claims.text == reading


def test_a_reading_without_a_claim_keeps_the_others() -> None:
    claims = parsed(f'{FINAL}comes " a".{REST}')
    assert claims is not None
    assert claims.without("final token") == f'Next comes " a".{REST}'
    assert claims.without("next tokens") == 'The final token is " is".' + REST
    assert claims.without("recent words") == f'{FINAL}comes " a". This is the user\'s story.'
    assert claims.without("role and genre") == claims.text.removesuffix(" This is the user's story.")


def test_a_claim_is_held_against_what_is_true_there_and_elsewhere_in_the_text() -> None:
    tokens = (
        "abaacb"  # texts 7, 7, 7, 9, 9, 4: the next one of the text is another token, the same, another …
    )
    true = [parsed(f'The final token is "{token}"; next comes "{token}".{REST}') for token in tokens]
    kept = [claims for claims in true if claims is not None]
    own, other = judged(kept, kept, [7, 7, 7, 9, 9, 4])["final token"]
    assert own.tolist() == [1.0] * 6
    assert other[:5].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert np.isnan(other[5])  # the only one of its text
    said, hits = sure(kept, [*kept[1:], kept[0]])["comes"]
    assert (said, hits.tolist()) == ([0, 1, 2, 3, 4, 5], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0])


def test_other_words_are_no_claims() -> None:
    assert parsed("Something about owls.") is None


def test_a_candidate_that_differs_in_form_alone_is_repeated() -> None:
    for listed, repeats in (('" been", " worked" or " Been"', True), ('" been" or " worked"', False)):
        claims = parsed(f"{FINAL}perhaps {listed}.{REST}")
        assert claims is not None and claims.repeats is repeats


def test_the_best_reading_repeats_nothing_and_is_sure_only_where_it_is_right() -> None:
    def reading(position: int, next: str, cos: float, truncated: bool = False) -> Sampled:
        return Sampled(position, f"{FINAL}{next}.{REST}", truncated, cos)

    given = [
        reading(0, 'probably " a"', 0.5),
        reading(0, 'probably " b"', 0.8),
        reading(0, 'perhaps " a", " c" or " a"', 0.9),
        reading(0, 'perhaps " a"', 0.95, truncated=True),
        reading(1, 'comes " c"', 0.7),
        Sampled(1, "Something else.", False, 0.9),
    ]
    best = winners(given, ['" a"', '" c"'])
    assert [(r.position, r.cos) for r in best] == [(0, 0.8), (1, 0.7)]
    assert 'next perhaps " b"' in best[0].text
    assert 'next comes " c"' in best[1].text
