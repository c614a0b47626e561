"""Mentions of a word in readings, in its other forms too."""

from __future__ import annotations

import pytest

from server.analyses.mentions import finder


@pytest.mark.parametrize(
    ("word", "reading", "found"),
    [
        (
            " Madrid",
            "It expects “Madrid”, and MADRID again; Madrid's river.",
            ["Madrid", "MADRID", "Madrid's"],
        ),
        ("cat", "A cat, two cats, a category, concatenated Cats.", ["cat", "cats", "Cats"]),
        ("cats", "The cat of the cats", ["cat", "cats"]),
        ("city", "Cities and a city", ["Cities", "city"]),
        ("boxes", "a box of boxes", ["box", "boxes"]),
        ("grass", "gras, grass, grasses", ["grass", "grasses"]),
        ("New York", "a new york of New Yorks, new and york", ["new york", "New Yorks"]),
        (
            "168",
            "168, 1,168, 168.5, one hundred and sixty-eight, 1685",
            ["168", "one hundred and sixty-eight"],
        ),
        ("seven", "7 or Seven, not 77 or seventh", ["7", "Seven"]),
        ("1344", "1,344 and 1344", ["1,344", "1344"]),
        ("as", "as, a, ass", ["as"]),
        ("東京", "それは東京です", ["東京"]),
        ("Straße", "die STRASSE", ["STRASSE"]),
        ("...", "so ... on", []),
        (" ", "a b", []),
        ("", "a b", []),
    ],
)
def test_a_word_is_found_in_its_forms(word: str, reading: str, found: list[str]) -> None:
    assert [reading[start:end] for start, end in finder(word)(reading)] == found
