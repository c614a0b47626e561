"""A tool that follows words over the layers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from server.analyses.schema import Analysis
from server.analyses.word_curves import WhichLens, WhichVariant, WordCurve, WordCurves
from server.errors import BadInput, Conflict
from server.mcp.analysis_tools import AnalysisId, Offset
from server.mcp.answers import Page, Part, figure, figures, page_of
from server.mcp.links import AnyContext, Links
from server.mcp.reading_tools import Position, check_position
from server.mcp.waiting import settled
from server.services import Services

MOST_POSITIONS = 16
"""Positions at which words are followed by one call: each is a pass through the target."""


class Curve(Part):
    """One word after one position, by each of the `layers`; the last is the model's own output."""

    word: str = Field(description="The word as it was measured; a leading space is a part of it.")
    first_token: str = Field(description="What was measured of a word of several tokens.")
    tokens: int
    output_prob: float
    output_rank: int = Field(description="0 = the model's first choice.")
    best_layer: int
    prob: list[float]
    rank: list[int]


class CurvesAt(Part):
    """The words after one position."""

    position: int
    token: str
    permalink: str
    words: list[Curve]


class Seen(Part):
    """A word that is among the likeliest tokens of the lens after a position."""

    word: str
    position: int
    token: str
    layers: int = Field(description="The number of layers where it is.")
    first_layer: int = Field(description="The lowest of them.")
    best_layer: int
    prob: float = Field(description="By the best layer.")
    place: int = Field(description="There: 1 = the likeliest.")
    permalink: str


class LensAnswer(Page):
    """Words by the lens: `at` some positions, or where they are `seen` in the whole text."""

    id: str
    lens: str
    layers: list[int]
    among: int | None = Field(
        default=None, description="The number of tokens of each cell that were searched."
    )
    at: list[CurvesAt] | None = None
    seen: list[Seen] | None = None


class LensTools:
    """Follows words over the layers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def lens_of_word(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        word: Annotated[
            str | list[str], Field(description="One word, or up to 6 of them, as they might come next.")
        ],
        positions: Annotated[
            list[Position],
            Field(
                max_length=MOST_POSITIONS,
                description="After these tokens; none: wherever they are seen in the text.",
            ),
        ] = [],  # noqa: B006 - the tool's schema shows it
        lens: Annotated[
            WhichLens, Field(description="The logit lens, or one with trained translators.")
        ] = "plain",
        variant: Annotated[
            WhichVariant, Field(description="likelier: with a space before the word where that is likelier.")
        ] = "likelier",
        offset: Offset = 0,
    ) -> LensAnswer:
        """Measure how likely each layer finds a word as the next one after some positions, or find where in the text
        the lens has it among its likeliest. It shows what could be said next, not what is thought.
        """
        found = await self._services.analyses.get(analysis)
        words = [word] if isinstance(word, str) else word
        links = Links(context, self._services.settings)
        for n, position in enumerate(positions):
            check_position(found, position, f"positions.{n}")
        await settled(self._services.models, context)
        if not positions:
            return await self._in_text(found, words, lens, links, offset)
        at: list[CurvesAt] = []
        layers: list[int] = []
        for position in dict.fromkeys(positions):
            curves = await self._services.analyses.words(found.id, position, words, lens, variant)
            layers = curves.layers
            at.append(_curves_at(found, curves, links))

        def made(shown: list[Any]) -> LensAnswer:
            return LensAnswer(
                permalink=links.analysis(found.id), id=found.id, lens=lens, layers=layers, at=shown
            )

        return page_of(made, at, offset, "positions")

    async def _in_text(
        self, analysis: Analysis, words: Sequence[str], lens: str, links: Links, offset: int
    ) -> LensAnswer:
        table = analysis.lens if lens == "plain" else analysis.tuned_lens
        if table is None:
            if lens == "tuned" and analysis.lens is not None:
                raise BadInput("lens", "This analysis has no tuned lens: ask for the plain one.")
            raise Conflict(f"The lens of {analysis.id} is not there yet: call analyse again, and wait.")
        last = len(analysis.tokens) - 1
        curves = await self._services.analyses.words(analysis.id, last, words)
        seen = await asyncio.to_thread(
            lambda: [s for curve in curves.words for s in _seen(analysis, curve, lens, links)]
        )

        def made(shown: list[Any]) -> LensAnswer:
            return LensAnswer(
                permalink=links.analysis(analysis.id),
                id=analysis.id,
                lens=lens,
                layers=table.layers,
                among=table.top_ids.shape[2],
                seen=shown,
            )

        return page_of(made, seen, offset, "places")


def _curves_at(analysis: Analysis, curves: WordCurves, links: Links) -> CurvesAt:
    return CurvesAt(
        position=curves.position,
        token=analysis.tokens[curves.position].text,
        permalink=links.analysis(analysis.id, curves.position),
        words=[
            Curve(
                word=curve.word,
                first_token=curve.token,
                tokens=curve.count,
                output_prob=figure(curve.prob[-1]) or 0.0,
                output_rank=curve.rank[-1],
                best_layer=curves.layers[int(np.argmax(curve.prob))],
                prob=figures(curve.prob),
                rank=curve.rank,
            )
            for curve in curves.words
        ],
    )


def _seen(analysis: Analysis, curve: WordCurve, lens: str, links: Links) -> list[Seen]:
    """Find where the word, with a space before it or without, is among the likeliest tokens of any layer."""
    table = analysis.lens if lens == "plain" else analysis.tuned_lens
    assert table is not None, "it was looked at"
    ids = [curve.id, *([curve.other.id] if curve.other is not None else [])]
    there = np.isin(table.top_ids, ids)  # [L, T, k]
    found = []
    for position in np.flatnonzero(there.any(axis=(0, 2))).tolist():
        cells = np.where(there[:, position], table.top_probs[:, position], -1.0)  # [L, k]
        layers = np.flatnonzero(there[:, position].any(axis=1))
        best, place = np.unravel_index(int(cells.argmax()), cells.shape)
        found.append(
            Seen(
                word=curve.typed,
                position=position,
                token=analysis.tokens[position].text,
                layers=len(layers),
                first_layer=table.layers[int(layers[0])],
                best_layer=table.layers[int(best)],
                prob=figure(float(cells[best, place])) or 0.0,
                place=int(place) + 1,
                permalink=links.analysis(analysis.id, position),
            )
        )
    return found
