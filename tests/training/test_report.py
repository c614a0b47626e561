"""The figures of the demo pair's card, and how they get into it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from server.nla.checkpoints.card import PairCard
from training import prompts
from training.claims import Claims
from training.positions import Positions
from training.report import Measured, Trips, claims_table, interval, measurements, prompts_table, write_card

RNG = np.random.default_rng(0)


def width(values: np.ndarray[tuple[int], np.dtype[np.float64]], texts: list[int]) -> float:
    low, high = interval(values.astype(np.float32), texts)
    return high - low


def test_positions_of_one_text_that_are_alike_count_as_one() -> None:
    of_text = RNG.normal(size=30)
    texts = [n for n in range(30) for _ in range(20)]
    assert width(of_text.repeat(20), texts) == pytest.approx(width(of_text, list(range(30))), rel=1e-4)


def test_independent_positions_have_the_interval_of_their_mean() -> None:
    values = RNG.normal(size=900)
    texts = [n for n in range(90) for _ in range(10)]
    assert width(values, texts) == pytest.approx(2 * 1.96 * values.std() / 30, rel=0.15)


def claims(token: str, sure: str, next: str) -> Claims:
    return Claims(token, (next,), sure, 'It reads like "so it is".')


def measured() -> Measured:
    """Six positions of three texts; the fourth reading is in no known form."""
    said = [claims("a", "likely", "x"), claims("b", "likely", "y"), claims("c", "a guess", "z")]
    true = [claims("a", "likely", "x"), claims("b", "likely", "n"), claims("d", "likely", "n")]
    return Measured(
        texts=[1, 1, 2, 2, 3, 3],
        variance=0.5,
        reading_cos=np.array([0.9, 0.9, 0.8, 0.8, 0.7, 0.7], np.float32),
        description_cos=np.ones(6, np.float32),
        shuffled_cos=0.5,
        mean_cos=0.6,
        nearest=0.75,
        named=0.5,
        tokens=9.0,
        cut_short=0.0,
        plain=0.5,
        genres=["code", "code", "story", "story", "poem", "unheard of"],
        said=said,
        true=true,
        kept=[0, 1, 2],
        adds={"final token": 0.1, "next tokens": 0.05, "recent words": 0.0},
        examples=[],
        prompts=of_prompts(),
    )


def of_prompts() -> Trips:
    """Two positions of a poem, and before the digits of three products: 1, 1 and 2, read as 1, 1 and 1."""

    def reading(next: str, quoted: str) -> str:
        return replace(claims('" ="', "likely", next), recent=f'It reads like "{quoted}".').text

    poem = reading('" a"', "so it is")
    true = [poem, poem, *(reading(f'"{digit}"', f"23 * 7 ={said}") for digit, said in DIGITS)]
    read = [poem, poem, *(reading('"1"', "about it") for _ in DIGITS)]
    genres = ["poem", "poem", *("multiplication" for _ in DIGITS)]
    positions = Positions(
        torch.zeros(5, 2), true, ["" for _ in true], ["" for _ in true], genres, [0, 0, 1, 2, 3],
        torch.ones(5, dtype=torch.bool),
    )  # fmt: skip
    return Trips(positions, read, np.array([0.9, 0.9, 0.8, 0.8, 0.8], np.float32))


DIGITS = ((1, ""), (1, ""), (2, ""))


def test_the_card_has_the_reports_figures(tmp_path: Path) -> None:
    found = measurements(measured(), "by hand")
    assert found.fve == pytest.approx(1 - 2 * 0.2 / 0.5)
    assert {kind.kind: kind.positions for kind in found.kinds} == {
        "code": 2,
        "stories, poems, jokes, dialogues": 3,
    }
    assert found.kinds[0].fve == pytest.approx(1 - 2 * 0.1 / 0.5)
    final, expected, *_ = found.claims
    assert (final.right, final.control) == (pytest.approx(2 / 3), 0.0)  # a and b; theirs swapped
    assert (expected.right, expected.adds_fve) == (pytest.approx(1 / 3), pytest.approx(0.2))
    sure = {c.word: (c.readings, c.right) for c in found.certainty}
    assert sure == {"likely": (2, 0.5), "a guess": (1, 0.0)}
    path = tmp_path / "card.json"
    path.write_text('{"readings": "Stays.", "measured": null}')
    write_card(path, found)
    card = PairCard.read(path)
    assert card.readings == "Stays." and card.measured is not None
    assert card.measured.claims[0].right == 0.6667  # four digits
    assert any(line.startswith("| final token | 66.7% [") for line in claims_table(measured(), found))
    assert any(line.startswith("| likely | 2 | 50.0% [") for line in claims_table(measured(), found))


def test_an_av_that_says_nothing_in_plain_sentences_has_no_claims() -> None:
    found = measurements(replace(measured(), said=[], true=[], kept=[], adds={}), "by hand")
    assert (found.claims, found.certainty, len(found.kinds)) == ((), (), 2)


def test_a_file_that_is_no_card_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({"unknown": 1}))
    with pytest.raises(ValueError, match="unknown"):
        write_card(path, measurements(measured(), "by hand"))
    assert json.loads(path.read_text()) == {"unknown": 1}


def test_prompts_and_digits_have_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "TWELVE", {"poem": ()})
    lines = prompts_table(of_prompts(), 0.5)
    assert "| poem | 2 | 0.600 |" in lines
    assert "| **all twelve** | 2 | 0.600 [0.600, 0.600] |" in lines
    assert "| before a digit of a product | 3 | 0.200 [0.200, 0.200] |" in lines
    # right of 1, 1 and not of 2; of another text at that place: of 1 once in two, of 1 once in two, of 2 always (1, 1)
    assert (
        "in 66.7% of 3 readings (3 texts), another text's at the same place in 66.7%: more often by 0.0%"
        in lines[-1]
    )


@pytest.mark.parametrize(
    ("quoted", "digits"),
    [
        ("= 161 / 23 * 7 =", 0),
        ("/ 23 * 7 = 1", 1),
        ("23 * 7 = 16", 2),
        ("= 161 / 2", None),
        ("so it is", None),
    ],
)
def test_the_place_of_a_digit_is_told_by_what_stands_before_it(quoted: str, digits: int | None) -> None:
    assert prompts.place(f'It reads like "{quoted}".') == digits


def test_no_problem_of_the_report_is_one_that_is_trained_on() -> None:
    asked = [text.turns[-1][1] for text in prompts.texts(0) if text.genre == "multiplication"]
    assert len(asked) == prompts.PROBLEMS and all(line.endswith("* 7 =") for line in asked)
    assert len(prompts.TWELVE) == 12
