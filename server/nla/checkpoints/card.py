"""Card of a pair, by its makers: how it was made, and how far its readings are to be trusted.

Only that stands on the page as a statement about a pair. Of a pair that says nothing, nothing is claimed. A card is the
file `nla_card.json` in the AV's folder, or the table `[pair.card]` of the user's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from server.errors import CheckpointError

FILE = "nla_card.json"
Share = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[float, float]
"""95 % interval over texts, from the lower end to the upper one."""


@dataclass(frozen=True)
class Card:
    """The part of a card that every analysis carries; None and the empty text where nothing is known."""

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


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class KindScore(_Table):
    """FVE of the readings of one kind of text."""

    kind: str
    positions: int
    texts: int
    fve: float
    interval: Interval


class ClaimShare(_Table):
    """One thing that readings say, and how often it is right: in the mean over readings, of 0 to 1."""

    claim: str
    right: Share
    interval: Interval
    control: Share
    """How often it is right of another position of the same text."""
    adds_fve: float
    """FVE that is lost when readings are scored without it."""


class Certainty(_Table):
    """Readings that say how sure they are by the same word, and how often the candidate that they name first is the
    model's first choice.
    """

    word: str
    readings: int
    right: Share
    interval: Interval


class Measured(_Table):
    """Measurements of a pair on texts that it was not trained on. FVE is against `variance`."""

    how: str
    """The command, the hardware, the versions and the date."""
    positions: int
    texts: int
    variance: float
    fve: float
    fve_interval: Interval
    nearest: Share
    """How often the activation is nearer to its own reading's vector than 99 others are."""
    kinds: tuple[KindScore, ...] = ()
    claims: tuple[ClaimShare, ...] = ()
    certainty: tuple[Certainty, ...] = ()


class PairCard(_Table):
    """A whole card. Each field as in `Card`, and what stands on the pair's own page alone."""

    trained_from_position: int | None = None
    trained_on_template: bool | None = None
    readings: str = ""
    sentences: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    """How it was made, a paragraph each."""
    fails: tuple[str, ...] = ()
    """On what its readings fail, a sentence or two each."""
    measured: Measured | None = None

    @field_validator("sentences")
    @classmethod
    def _have_names(cls, sentences: tuple[str, ...]) -> tuple[str, ...]:
        if any("{" not in sentence for sentence in sentences):
            raise ValueError("a sentence is a text with names in braces")
        return sentences

    @property
    def brief(self) -> Card:
        """The part that analyses carry."""
        return Card(self.trained_from_position, self.trained_on_template, self.readings, self.sentences)

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> PairCard:
        """A card as a `[pair.card]` table says it. Raises ValueError."""
        lists = ("sentences", "made", "fails")
        given = {name: tuple(v) if name in lists and type(v) is list else v for name, v in table.items()}
        return _valid(lambda: cls.model_validate(given))

    @classmethod
    def read(cls, path: Path) -> PairCard:
        """The card in a file. Raises CheckpointError."""
        try:
            text = path.read_bytes()
            return _valid(lambda: cls.model_validate_json(text))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} is no card of a pair: {error}.", check="card") from error


def _valid(make: Callable[[], PairCard]) -> PairCard:
    """The card that is made, or a ValueError that names the field."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            takes = f"; it takes {', '.join(PairCard.model_fields)}" if len(first["loc"]) == 1 else ""
            raise ValueError(f"the card has no {place!r}{takes}") from error
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(
            f"the card's {place} is {first['input']!r:.80}: {said[:1].lower()}{said[1:]}"
        ) from error
