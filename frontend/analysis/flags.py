"""Reasons to trust a position's reading less, as far as its pair's own card says so."""

from __future__ import annotations

from dataclasses import dataclass

from server.nla.checkpoints.card import Card

UNKNOWN = Card()
SILENT = "It is not known here whether the pair was trained on such"


@dataclass(frozen=True)
class Flag:
    """A short name and one or two sentences."""

    name: str
    title: str
    sentence: str


def flag(name: str, position: int, card: Card | None) -> Flag:
    """The words for a flag of a token; an unknown flag names itself rather than vanish."""
    card = card or UNKNOWN
    match name:
        case "early":
            return Flag(name, "Early position", _early(position, card.trained_from_position))
        case "template":
            return Flag(name, "Template token", _template(card.trained_on_template))
        case "end-of-turn":
            return Flag(name, "End of a turn", _end_of_turn(card.trained_on_template))
        case "huge-norm":
            sentence = (
                "This activation is far longer than the text's others. Its length is not in the score, "
                "and it is not counted as content."
            )
            return Flag(name, "Outsized activation", sentence)
        case "glyph-part":
            sentence = (
                "One visible character spans several tokens. Each part has an activation and a reading "
                "of its own."
            )
            return Flag(name, "Part of a character", sentence)
        case _:
            return Flag(name, name.replace("-", " ").capitalize(), "This position is marked as unusual.")


def title(name: str) -> str:
    """A flag's short name."""
    return flag(name, 0, None).title


def _early(position: int, first: int | None) -> str:
    if first is None:
        return f"One of the first tokens of the text. {SILENT} positions."
    if position < first:
        return f"The pair was trained on positions from {first} on, and this is position {position}."
    return "One of the first tokens of the text. The pair was trained on such positions too."


def _template(trained: bool | None) -> str:
    if trained is None:
        return f"This token belongs to the chat template. {SILENT} tokens."
    if trained:
        return "This token belongs to the chat template. The pair was trained on such tokens too."
    return "This token belongs to the chat template. Such tokens were not in the pair's training data."


def _end_of_turn(trained: bool | None) -> str:
    if trained is None:
        return f"This token ends a turn. {SILENT} tokens."
    if trained:
        return "This token ends a turn. The pair was trained on such tokens too."
    return "This token ends a turn. Such tokens were not in the pair's training data."
