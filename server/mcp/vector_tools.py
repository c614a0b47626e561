"""Tools that make vectors of activations and have them read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from server.analyses.schema import Verbalise
from server.mcp.answers import Answer, Part, cut, figure
from server.mcp.answers import interval as ends
from server.mcp.links import AnyContext, Links
from server.mcp.waiting import PATIENCE, Seconds, settled, wait_for_made
from server.services import Services
from server.vectors.schema import (
    Name,
    OtherReadings,
    PendingVectorReadings,
    Source,
    Term,
    Vector,
    VectorReading,
    VectorRequest,
)

SHOWN = 40
"""Terms of a sum that are shown."""
VectorId = Annotated[str, Field(min_length=1, max_length=40, description="The id of a vector.")]


class SourcePart(Part):
    """A term of a vector."""

    analysis: str
    position: int
    token: str
    weight: float
    cos: float = Field(description="Of the vector with this activation.")


class VectorAnswer(Answer):
    """A vector, which edit_and_patch takes in the place of words."""

    id: str
    name: str
    existed: bool
    pair: str
    layer: int
    norm: float
    terms: list[SourcePart]


class VectorReadingPart(Part):
    """A text that the AV wrote of the vector, scored by the cosine of the vector and what the AR makes of the text."""

    sample: int
    text: str
    cos: float | None = None
    fve: float | None = None
    above: str | None = Field(
        default=None, description="3 of 60: so many readings of other tokens are at least as near."
    )
    error: str | None = None


class OtherPart(Part):
    """Null: the cosine of the vector with the readings of `n` other tokens in `texts` texts."""

    n: int
    texts: int
    cos: float | None = None
    interval: tuple[float, float] | None = Field(default=None, description="The middle 90 %.")


class VectorReadingsAnswer(Answer):
    """Readings of a vector beside their null."""

    id: str
    vector: str
    name: str
    status: str
    existed: bool
    readings: list[VectorReadingPart]
    others: OtherPart | None = None


class VectorTools:
    """Makes vectors and has them read."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def make_vector(
        self,
        context: AnyContext,
        terms: Annotated[
            list[Term],
            Field(
                min_length=1,
                max_length=512,
                description="Activations with their weights, of analyses by one pair: 1 and -1 for a difference, 1/n "
                "for a mean.",
            ),
        ],
        name: Annotated[Name | None, Field(description="The tokens, unless given.")] = None,
    ) -> VectorAnswer:
        """Add up activations of tokens to a vector that is kept: the difference of two tokens, the mean of several, or
        any weighted sum. read_vector has it read, edit_and_patch puts it into the model.
        """
        made, existed = await self._services.vectors.create(VectorRequest(name=name, sum=terms))
        left = len(made.sum) - SHOWN
        return VectorAnswer(
            permalink=self._link(context, made),
            note=f"{left} more terms were left out." if left > 0 else None,
            id=made.id,
            name=made.name,
            existed=existed,
            pair=made.pair,
            layer=made.layer,
            norm=figure(made.norm) or 0.0,
            terms=[_source(source) for source in made.sum[:SHOWN]],
        )

    async def read_vector(
        self,
        context: AnyContext,
        vector: VectorId,
        verbalise: Annotated[
            Verbalise, Field(description="How the AV writes. Samples that agree are worth more than one.")
        ] = Verbalise(),  # noqa: B008 - the tool's schema shows it
        wait_seconds: Seconds = PATIENCE,
    ) -> VectorReadingsAnswer:
        """Have the AV write what it sees in a vector, beside how near readings of other tokens come to it (the null).
        Read once; the same wish finds the same words.
        """
        await settled(self._services.models, context)
        known = await self._services.vectors.get(vector)
        reader = self._services.vector_reader
        id, existed = await reader.submit(known.id, verbalise)
        found = await wait_for_made(reader, known.id, id, context, wait_seconds)
        if isinstance(found, PendingVectorReadings):
            return VectorReadingsAnswer(
                permalink=self._link(context, known),
                note="It goes on: ask the same again to go on waiting.",
                id=id,
                vector=known.id,
                name=known.name,
                status=found.progress.stage,
                existed=existed,
                readings=[],
            )
        others = found.others
        return VectorReadingsAnswer(
            permalink=self._link(context, known),
            note="The vector is not an activation: a reading may say what no text would hold.",
            id=found.id,
            vector=known.id,
            name=known.name,
            status="done",
            existed=existed,
            readings=[_reading(reading, others.n if others else 0) for reading in found.readings],
            others=None if others is None else _others(others),
        )

    def _link(self, context: AnyContext, vector: Vector) -> str:
        return Links(context, self._services.settings).page(vector.url)


def _source(source: Source) -> SourcePart:
    return SourcePart(
        analysis=source.analysis,
        position=source.position,
        token=source.token,
        weight=figure(source.weight) or 0.0,
        cos=figure(source.cos) or 0.0,
    )


def _others(others: OtherReadings) -> OtherPart:
    return OtherPart(n=others.n, texts=others.texts, cos=figure(others.mean), interval=ends(others.interval))


def _reading(reading: VectorReading, others: int) -> VectorReadingPart:
    return VectorReadingPart(
        sample=reading.sample,
        text=cut(reading.text),
        cos=figure(reading.cos),
        fve=figure(reading.fve),
        above=None if reading.above is None else f"{reading.above} of {others}",
        error=reading.error,
    )
