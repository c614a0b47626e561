"""A tool that lays two analyses, or two tokens, beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Annotated

import numpy as np
from pydantic import Field

from server.analyses.alignment import aligned, shared_prefix
from server.analyses.schema import Analysis, Reading
from server.analyses.score_gap import ENOUGH, interval
from server.errors import BadInput
from server.mcp.analysis_tools import AnalysisId, speaker_of
from server.mcp.answers import SHORT_TEXT, Answer, Part, cut, figure, figures
from server.mcp.links import AnyContext, Links
from server.mcp.reading_tools import Position, ReadingPart, check_position, reading_part
from server.services import Services

MOST_RUNS = 12
"""Stretches of each text that are named, that the other lacks."""
MOST_ROWS = 8
"""Tokens that are named where the scores differ most."""
Sample = Annotated[int, Field(ge=0, description="Which of its samples.")]


class Stretch(Part):
    """Neighbouring tokens of content that the other text lacks."""

    start: int
    end: int
    speaker: str
    text: str


class Side(Part):
    """A side of the comparison."""

    id: str
    permalink: str
    pair: str
    content: int = Field(description="Its tokens of content.")
    fve: float | None = Field(
        default=None, description="The mean over the tokens that both have, read and scored."
    )
    lacking_in_other: list[Stretch] = Field(description="The longest ones.")
    more_stretches: int | None = Field(default=None, description="How many shorter ones were left out.")


class Row(Part):
    """One token that both have."""

    token: str
    position_a: int
    position_b: int
    fve_a: float
    fve_b: float


class AtPosition(Part):
    """One token of one side, with its reading."""

    position: int
    token: str
    permalink: str
    reading: ReadingPart | None = None


class CompareAnswer(Answer):
    """Two analyses beside each other."""

    a: Side
    b: Side
    shared_prefix: int = Field(
        description="Tokens both begin with: their activations are the same (one pair)."
    )
    same: int = Field(
        description="Tokens of content that both have, by the same speaker and in the same order."
    )
    compared: int = Field(
        description="Of those, after the shared beginning, the ones that both have scores of."
    )
    difference: float | None = Field(default=None, description="Mean FVE of a minus that of b, over those.")
    interval: tuple[float, float] | None = Field(
        default=None,
        description="95 %, by runs of neighbouring tokens of these two texts: of others it says nothing.",
    )
    largest: list[Row]
    at_a: AtPosition | None = None
    at_b: AtPosition | None = None


class CompareTools:
    """Compares analyses."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def compare(
        self,
        context: AnyContext,
        a: AnalysisId,
        b: Annotated[
            str, Field(max_length=40, description="The other one; without it, two places of a.")
        ] = "",
        position_a: Annotated[Position | None, Field(description="Read this token of a.")] = None,
        position_b: Annotated[Position | None, Field(description="Beside this one of b.")] = None,
        sample_a: Sample = 0,
        sample_b: Sample = 0,
    ) -> CompareAnswer:
        """Compare two analyses: which tokens differ, how much the readings of those that both have hold, and, where
        positions are given, the two readings. Without b: two tokens or two samples of one analysis.
        """
        analyses = self._services.analyses
        first = await analyses.get(a)
        second = await analyses.get(b) if b and b != a else first
        if first is second and (position_a, sample_a) == (position_b, sample_b):
            raise BadInput("b", "Give another analysis as b, or two positions or samples of this one.")
        for field, analysis, sample in (("sample_a", first, sample_a), ("sample_b", second, sample_b)):
            samples = analysis.request.verbalise.samples
            if sample >= samples:
                raise BadInput(field, f"There is no sample {sample}: this analysis was asked for {samples}.")
        for field, analysis, position in (
            ("position_a", first, position_a),
            ("position_b", second, position_b),
        ):
            if position is not None:
                check_position(analysis, position, field)
        links = Links(context, self._services.settings)
        places = (position_a, position_b)
        return await asyncio.to_thread(_answer, first, second, places, (sample_a, sample_b), links)


def _answer(
    a: Analysis,
    b: Analysis,
    places: tuple[int | None, int | None],
    samples: tuple[int, int],
    links: Links,
) -> CompareAnswer:
    by_text = a.pair != b.pair
    same = aligned(a.tokens, b.tokens, by_text=by_text)
    prefix = shared_prefix(a.tokens, b.tokens, by_text=by_text)
    read = [
        {r.position: r for r in x.readings if r.sample == n} for x, n in zip((a, b), samples, strict=True)
    ]
    # As on the page: what both begin with has the same activations, and is no difference of texts.
    left_out = prefix if not by_text and prefix < max(len(a.tokens), len(b.tokens)) else 0
    one_reading = a is b and samples[0] == samples[1]
    rows = [
        Row(token=a.tokens[p].text, position_a=p, position_b=q, fve_a=one.fve, fve_b=other.fve)
        for p, q in same
        if p >= left_out
        and not one_reading
        and (one := read[0].get(p)) is not None
        and (other := read[1].get(q)) is not None
        and one.fve is not None
        and other.fve is not None
    ]
    gaps = np.array([row.fve_a - row.fve_b for row in rows])
    enough = len(rows) >= ENOUGH
    low_high = figures(interval(gaps)) if enough else None
    rest = sorted(rows, key=lambda row: -abs(row.fve_a - row.fve_b))[:MOST_ROWS]
    means = [
        figure(fmean(getattr(row, name) for row in rows)) if rows else None for name in ("fve_a", "fve_b")
    ]
    return CompareAnswer(
        permalink=links.compare(a.id, b.id, samples, places),
        note=None if enough or not rows else "They are too few for an interval.",
        a=_side(a, {p for p, _ in same} | set(range(prefix)), means[0], links),
        b=_side(b, {q for _, q in same} | set(range(prefix)), means[1], links),
        shared_prefix=prefix,
        same=len(same),
        compared=len(rows),
        difference=figure(float(gaps.mean())) if rows else None,
        interval=None if low_high is None else (low_high[0], low_high[1]),
        largest=[
            row.model_copy(update={"fve_a": figure(row.fve_a), "fve_b": figure(row.fve_b)}) for row in rest
        ],
        at_a=_at(a, places[0], read[0], links),
        at_b=_at(b, places[1], read[1], links),
    )


def _side(analysis: Analysis, known: Collection[int], fve: float | None, links: Links) -> Side:
    stretches = _stretches(analysis, known)
    return Side(
        id=analysis.id,
        permalink=links.analysis(analysis.id),
        pair=analysis.pair,
        content=sum(token.content for token in analysis.tokens),
        fve=fve,
        lacking_in_other=stretches[:MOST_RUNS],
        more_stretches=len(stretches[MOST_RUNS:]) or None,
    )


def _stretches(analysis: Analysis, known: Collection[int]) -> list[Stretch]:
    """Runs of neighbouring tokens of content, by one speaker, that the other text lacks."""
    runs: list[list[int]] = []
    for token in analysis.tokens:
        if not token.content or token.position in known:
            continue
        last = analysis.tokens[runs[-1][-1]] if runs else None
        if last is not None and (last.position, last.role) == (token.position - 1, token.role):
            runs[-1].append(token.position)
        else:
            runs.append([token.position])
    return [
        Stretch(
            start=run[0],
            end=run[-1],
            speaker=speaker_of(analysis.tokens[run[0]].role, False),
            text=cut(_text(analysis, run), SHORT_TEXT),
        )
        for run in sorted(runs, key=len, reverse=True)
    ]


def _text(analysis: Analysis, positions: Sequence[int]) -> str:
    return "".join(analysis.tokens[position].text for position in positions)


def _at(
    analysis: Analysis, position: int | None, read: dict[int, Reading], links: Links
) -> AtPosition | None:
    if position is None:
        return None
    reading = read.get(position)
    return AtPosition(
        position=position,
        token=analysis.tokens[position].text,
        permalink=links.analysis(analysis.id, position),
        reading=None if reading is None else reading_part(reading),
    )
