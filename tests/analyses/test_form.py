"""Meaning or form: units, and intervals over them, against sums that are written out here."""

from __future__ import annotations

import numpy as np
import pytest

from server.analyses.schema import Token
from server.measurements.form import LEAST_UNITS, interval, units_of


def tokens(texts: list[str], roles: list[str], content: int | None = None) -> list[Token]:
    """Tokens of which those from `content` on are special."""
    many = len(texts) if content is None else content
    return [
        Token(position=n, id=n, text=text, kind="prompt", role=role, special=n >= many)
        for n, (text, role) in enumerate(zip(texts, roles, strict=True))
    ]


FOUR_TURNS = ["user", "user", "assistant", "assistant"] * 2


def test_turns_are_the_units_where_there_are_enough() -> None:
    found = units_of(tokens(["a"] * 8, FOUR_TURNS))
    assert (found.name, list(found.of)) == ("turns", [0, 0, 1, 1, 2, 2, 3, 3])


def test_a_turn_without_content_does_not_count() -> None:
    assert units_of(tokens(["a"] * 8, FOUR_TURNS, content=6)).name == "sentences"


def test_sentences_end_at_stops_lines_and_turns() -> None:
    texts = ["Cats", " purr", ".", '"', " Dogs", "\n", "Why", "?", " Yes"]
    found = units_of(tokens(texts, ["user"] * 8 + ["assistant"]))
    assert (found.name, found.of) == ("sentences", [0, 0, 0, 1, 1, 1, 2, 2, 3])


def test_aninterval_holds_the_ratio_and_shrinks_to_it_where_units_are_alike() -> None:
    above, below = np.array([1.0, 2, 3, 4, 5, 6]), np.full(6, 10.0)
    low, high = interval(above, below, [0, 1, 2, 3, 4, 5]) or (np.nan, np.nan)
    assert 0.1 <= low < 21 / 60 < high <= 0.6
    alike = interval(np.full(6, 2.0), below, [0, 1, 2, 3, 4, 5])
    assert alike == (pytest.approx(0.2), pytest.approx(0.2))


def test_positions_of_one_unit_are_drawn_together() -> None:
    """Two values in each unit that cancel out: no draw of whole units sees either alone."""
    found = interval(np.array([1.0, -1.0] * 5), np.ones(10), np.repeat(range(5), 2).tolist())
    assert found == (0.0, 0.0)


def test_too_few_units_have_nointerval() -> None:
    assert interval(np.ones(9), np.ones(9), [n % (LEAST_UNITS - 1) for n in range(9)]) is None
