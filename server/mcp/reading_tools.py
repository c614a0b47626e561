"""Tools that read readings."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from pydantic import Field

from server.analyses.schema import Analysis, Chance, Reading, Token
from server.errors import BadInput, Conflict
from server.mcp.analysis_tools import AnalysisId, Held, Offset, by_position, speaker_of
from server.mcp.answers import SHORT_TEXT, Page, Part, cut, figure, page_of
from server.mcp.links import AnyContext, Links
from server.measurements.schema import CausalScore, Measurement
from server.services import Services

Position = Annotated[int, Field(ge=0, description="The position of a token; the first of the text is 0.")]


class Causal(Part):
    """The causal score: the share of the mean activation's damage that the reading undoes (1 = the model goes on as it
    was, 0 = no better than the mean), and KL of the next token in nats: with the reading, and with each control.
    """

    score: float | None = None
    kl: float
    kl_other: float | None = Field(
        default=None, description="Null: another reading of the text at the same angle."
    )
    kl_shuffled: float | None = Field(default=None, description="Another reading as it is.")
    kl_mean: float | None = Field(default=None, description="The text's mean activation: a score of 0.")
    kl_random: float | None = Field(
        default=None, description="A random direction at the same angle: a floor, no null."
    )
    kept: bool = Field(description="The model's first choice stays.")


class ReadingPart(Part):
    """One reading and its scores."""

    sample: int
    text: str
    fve: float | None = None
    cos: float | None = None
    rank: str | None = Field(
        default=None, description="1 of n: of n activations of this text its own is the nearest."
    )
    causal: Causal | None = None
    error: str | None = None


class Place(Part):
    """A token with its reading."""

    position: int
    token: str
    speaker: str
    permalink: str
    flags: list[str] = Field(description="What the pair was hardly trained on: early, template, huge-norm, …")
    readings: list[ReadingPart]


class PlacesAnswer(Page):
    """Readings of some positions, beside the nulls of the whole text."""

    id: str
    shuffled: Held = Field(description="Null: what readings of this text hold of other tokens of it.")
    mean: Held = Field(description="Null: what the mean of the text's other activations holds.")
    places: list[Place]


class Match(Part):
    """One reading that holds the words."""

    position: int
    token: str
    sample: int
    excerpt: str
    fve: float | None = None
    cos: float | None = None
    said_before: bool = Field(description="The text itself says the words up to this token: no discovery.")
    permalink: str


class FoundAnswer(Page):
    """Readings that hold some words."""

    id: str
    readings: int = Field(description="Readings that were searched.")
    first_said_at: int | None = Field(default=None, description="Where the text itself says the words first.")
    matches: list[Match]


class ReadingTools:
    """Reads what an analysis has written."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def read_positions(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        positions: Annotated[
            list[Position],
            Field(max_length=1000, description="These positions; or a range by `start` and `end`."),
        ] = [],  # noqa: B006 - the tool's schema shows it
        start: Position = 0,
        end: Annotated[int | None, Field(ge=0, description="The last position of the range.")] = None,
        offset: Offset = 0,
    ) -> PlacesAnswer:
        """Read the readings of some positions, with round-trip scores, ranks, causal scores where they were measured,
        and the nulls to hold them against.
        """
        found = await self._services.analyses.get(analysis)
        chosen = _chosen(found, positions, start, end)
        measured = await self._services.measurements.causal(found.id)
        scores = measured.scores if isinstance(measured, Measurement) else []
        links = Links(context, self._services.settings)
        return await asyncio.to_thread(_places, found, chosen, scores, links, offset)

    async def find_in_readings(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        words: Annotated[
            str, Field(min_length=1, max_length=200, description="What to look for, in either case.")
        ],
        offset: Offset = 0,
    ) -> FoundAnswer:
        """Find words in the readings of one analysis. A match where the text has not yet said the words itself is a
        hint at something that the model holds and has not said; one word in one reading may be invented.
        """
        found = await self._services.analyses.get(analysis)
        if not words.strip():
            raise BadInput("words", "Give at least one character that is no blank.")
        links = Links(context, self._services.settings)
        return await asyncio.to_thread(_found, found, words, links, offset)


def null_of(chance: Chance | None, name: str) -> Held:
    """Return a null of a text."""
    if chance is None:
        return Held()
    return Held(fve=figure(getattr(chance, f"{name}_fve")), cos=figure(getattr(chance, f"{name}_cos")))


def check_position(analysis: Analysis, position: int, field: str) -> Token:
    """The token there. Raises Conflict while the tokens are not known, and BadInput."""
    if not analysis.tokens:
        raise Conflict(f"The tokens of {analysis.id} are not known yet: call analyse again, and wait.")
    if position >= len(analysis.tokens):
        last = len(analysis.tokens) - 1
        raise BadInput(field, f"There is no position {position}: the text ends at {last}.")
    return analysis.tokens[position]


def reading_part(reading: Reading, causal: CausalScore | None = None) -> ReadingPart:
    """One reading for an agent."""
    rank = f"{reading.rank} of {reading.rank_of}" if reading.rank and reading.rank_of else None
    return ReadingPart(
        sample=reading.sample,
        text=cut(reading.text),
        fve=figure(reading.fve),
        cos=figure(reading.cos),
        rank=rank,
        causal=None if causal is None else causal_part(causal),
        error=None if reading.error is None else cut(reading.error, SHORT_TEXT),
    )


def causal_part(score: CausalScore) -> Causal:
    """One causal score for an agent."""
    kls = {
        f"kl_{name}": figure(effect.kl)
        for name in ("other", "shuffled", "mean", "random")
        if (effect := getattr(score, name)) is not None
    }
    return Causal(
        score=figure(score.score), kl=figure(score.reading.kl) or 0.0, kept=score.reading.kept, **kls
    )


def _chosen(analysis: Analysis, positions: list[int], start: int, end: int | None) -> list[int]:
    if positions and (start or end is not None):
        raise BadInput("positions", "Give either positions or a range by start and end, and not both.")
    for n, position in enumerate(positions):
        check_position(analysis, position, f"positions.{n}")
    if positions:
        return sorted(set(positions))
    check_position(analysis, start, "start")
    last = len(analysis.tokens) - 1 if end is None else end
    check_position(analysis, last, "end")
    if last < start:
        raise BadInput("end", f"The range ends at {last}, before it begins at {start}.")
    return list(range(start, last + 1))


def _places(
    analysis: Analysis, positions: list[int], scores: list[CausalScore], links: Links, offset: int
) -> PlacesAnswer:
    read = by_position(analysis)
    causal = {(score.position, score.sample): score for score in scores}
    places = []
    for position in positions:
        token = analysis.tokens[position]
        places.append(
            Place(
                position=position,
                token=token.text,
                speaker=speaker_of(token.role, token.special),
                permalink=links.analysis(analysis.id, position),
                flags=token.flags,
                readings=[
                    reading_part(r, causal.get((r.position, r.sample))) for r in read.get(position, [])
                ],
            )
        )
    unread = sum(not place.readings for place in places)

    def made(shown: list[Any]) -> PlacesAnswer:
        return PlacesAnswer(
            permalink=links.analysis(analysis.id),
            note=f"{unread} of these positions have no reading." if unread else None,
            id=analysis.id,
            shuffled=null_of(analysis.baselines, "shuffled"),
            mean=null_of(analysis.baselines, "mean"),
            places=shown,
        )

    return page_of(made, places, offset, "positions")


def _found(analysis: Analysis, words: str, links: Links, offset: int) -> FoundAnswer:
    needle = words.casefold()
    said_at = _first_said(analysis.tokens, needle)
    matches = []
    for reading in analysis.readings:
        at = reading.text.casefold().find(needle)
        if at < 0:
            continue
        matches.append(
            Match(
                position=reading.position,
                token=analysis.tokens[reading.position].text,
                sample=reading.sample,
                excerpt=_excerpt(reading.text, at, len(words)),
                fve=figure(reading.fve),
                cos=figure(reading.cos),
                said_before=said_at is not None and said_at <= reading.position,
                permalink=links.analysis(analysis.id, reading.position),
            )
        )

    def made(shown: list[Any]) -> FoundAnswer:
        return FoundAnswer(
            permalink=links.analysis(analysis.id),
            id=analysis.id,
            readings=len(analysis.readings),
            first_said_at=said_at,
            matches=shown,
        )

    return page_of(made, matches, offset, "matches")


def _first_said(tokens: list[Token], needle: str) -> int | None:
    """The position of the token with which the text has said the words for the first time."""
    said = ""
    for token in tokens:
        said = said[-len(needle) :] + token.text.casefold()
        if needle in said:
            return token.position
    return None


def _excerpt(text: str, at: int, length: int) -> str:
    around = (SHORT_TEXT - min(length, SHORT_TEXT)) // 2
    first, last = max(at - around, 0), at + length + around
    return ("…" if first else "") + text[first:last] + ("…" if last < len(text) else "")
