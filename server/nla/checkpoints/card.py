"""Card of a pair, by its makers: on what it was trained, and how far its readings are to be trusted.

Only that stands on the page as a statement about a pair. Of a pair that says nothing, nothing is claimed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Card:
    """Facts of a pair; None and the empty text where nothing is known."""

    trained_from_position: int | None = None
    """The earliest position of a text that was trained on."""
    trained_on_template: bool | None = None
    """True if tokens of the chat template were trained on."""
    readings: str = ""
    """One or two sentences on its readings, with the figures that show them."""
    sentences: tuple[str, ...] = ()
    """The forms of its readings, where they are always the same sentences ("The final token is {final token}."): names
    in braces stand for what changes, one that ends in [] for a list ("a", "b" or "c").
    """

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Card:
        """A card as a `[pair.card]` table says it. Raises ValueError."""
        kinds = {
            "trained_from_position": int,
            "trained_on_template": bool,
            "readings": str,
            "sentences": list,
        }
        for name, value in table.items():
            if name not in kinds:
                raise ValueError(f"the card has no {name!r}; it takes {', '.join(kinds)}")
            if type(value) is not kinds[name]:
                raise ValueError(f"the card's {name} is {value!r}, not of type {kinds[name].__name__}")
        sentences = table.get("sentences", [])
        if any(type(sentence) is not str or "{" not in sentence for sentence in sentences):
            raise ValueError("the card's sentences are not texts with names in braces")
        return cls(**{**table, "sentences": tuple(sentences)})


RELEASED = Card(trained_from_position=50, trained_on_template=False)
"""Cards of the pairs that their authors released."""
BUILT_IN: dict[str, Card] = {
    # training/README.md; the figure is its report's.
    "smollm2-135m-l20": Card(
        trained_from_position=1,
        trained_on_template=True,
        readings=(
            "In this pair the token itself is the surest part: 93\u202f% of its readings name it (800 positions of "
            "191 texts of all kinds that it was not trained on), 62\u202f% name the model\u2019s own first choice for "
            "the next one, and where a reading says that a token \u201ccomes\u201d it is right in 55\u202f%. Most of "
            "the words that it quotes are invented in the manner of the text; role, genre and topic are mostly wrong."
        ),
        sentences=(
            'The final token is {final token}; next {how sure} {next tokens[]}. The text runs "{recent words}". '
            "This is {setting}.",
            "The final token is {final token}; next {how sure} {next tokens[]}. It opens the text. This is {setting}.",
        ),
    ),
    "qwen2.5-7b-l20": RELEASED,
    "gemma3-12b-l32": RELEASED,
    "gemma3-27b-l41": RELEASED,
    "llama3.3-70b-l53": RELEASED,
}


def cards(pairs_file: Path | None) -> dict[str, Card]:
    """The cards of all pairs that have one, by name. A pair of the user's file that brings its own weights has that
    file's card alone.
    """
    found = dict(BUILT_IN)
    for table in _tables(pairs_file):
        name = str(table["name"])
        if isinstance(table.get("card"), dict):
            with suppress(ValueError):  # the catalogue refuses it with the reason
                found[name] = Card.of(table["card"])
        elif {"av", "ar"} & set(table):
            found.pop(name, None)
    return found


def _tables(pairs_file: Path | None) -> list[dict[str, Any]]:
    if pairs_file is None:
        return []
    with suppress(OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):  # likewise
        tables = tomllib.loads(pairs_file.read_text()).get("pair", [])
        return [table for table in tables if isinstance(table, dict) and isinstance(table.get("name"), str)]
    return []
