"""A tool that measures causal scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from server.analyses.schema import Analysis, Seed
from server.mcp.analysis_tools import AnalysisId, by_position, speaker_of
from server.mcp.answers import SHORT_TEXT, Answer, Part, cut, figure
from server.mcp.links import AnyContext, Links
from server.mcp.reading_tools import Causal, causal_part
from server.mcp.waiting import PATIENCE, Seconds, wait_for_made
from server.measurements.schema import (
    MAX_HORIZON,
    CausalScore,
    CausalSummary,
    ControlSummary,
    Measurement,
    MeasurementRequest,
)
from server.services import Services


class Effects(Part):
    """Means over `n` positions, of the readings or of one control."""

    n: int
    score: float | None = Field(
        default=None, description="1 − Σ KL / Σ KL(mean): the share of the damage undone."
    )
    score_after: float | None = Field(default=None, description="The same over the tokens that follow.")
    kl: float
    loss: float | None = Field(
        default=None, description="By how many nats the text's next token is less likely."
    )
    kept: float = Field(description="Share of the positions where the first choice stays.")


class Summary(Part):
    """The readings beside their controls. `other` is the null; `random` is a floor, and no null."""

    reading: Effects
    other: Effects | None = Field(default=None, description="Another reading of the text, at the same angle.")
    shuffled: Effects | None = Field(default=None, description="Another reading of the text, as it is.")
    mean: Effects | None = Field(default=None, description="The text's mean activation: a score of 0.")
    random: Effects | None = Field(default=None, description="Random directions at the same angle.")
    correlation: float | None = Field(
        default=None, description="Spearman's, of causal and round-trip scores."
    )


class ScoredToken(Part):
    """A token of content by its causal score."""

    position: int
    token: str
    speaker: str
    sample: int
    fve: float | None = None
    causal: Causal
    reading: str
    permalink: str


class CausalAnswer(Answer):
    """Causal scores of an analysis, or how far they are."""

    id: str
    analysis: str
    status: str
    horizon: int
    content: Summary | None = None
    left_out: Summary | None = Field(default=None, description="Template, special tokens and sinks.")
    highest: list[ScoredToken] | None = None
    lowest: list[ScoredToken] | None = None


class CausalTools:
    """Measures causal scores."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def causal_scores(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        horizon: Annotated[int, Field(ge=0, le=MAX_HORIZON, description="Following tokens to look at.")] = 4,
        seed: Seed = 0,
        tokens: Annotated[
            int, Field(ge=1, le=12, description="Tokens to name with the highest and lowest.")
        ] = 6,
        wait_seconds: Seconds = PATIENCE,
    ) -> CausalAnswer:
        """Measure whether the model goes on as before when each reading takes its activation's place, beside another
        reading at the same angle (the null), the mean and noise. Measured once; read_positions then shows each score.
        """
        measurements = self._services.measurements
        request = MeasurementRequest(horizon=horizon, seed=seed)
        id, _ = await measurements.submit(analysis, request)
        found = await self._services.analyses.get(analysis)
        made = await wait_for_made(measurements, found.id, id, context, wait_seconds)
        links = Links(context, self._services.settings)
        if isinstance(made, Measurement):
            return _answer(await self._services.analyses.get(found.id), made, tokens, links)
        return CausalAnswer(
            permalink=links.analysis(found.id),
            note="It goes on: ask the same again to go on waiting.",
            id=id,
            analysis=found.id,
            status=made.progress.stage,
            horizon=horizon,
        )


def _answer(analysis: Analysis, made: Measurement, count: int, links: Links) -> CausalAnswer:
    content = {token.position for token in analysis.tokens if token.content}
    ranked = sorted(
        (score for score in made.scores if score.score is not None and score.position in content),
        key=lambda score: score.score or 0.0,
    )
    return CausalAnswer(
        permalink=links.analysis(analysis.id),
        id=made.id,
        analysis=analysis.id,
        status="done",
        horizon=made.request.horizon,
        content=None if made.content is None else _summary(made.content),
        left_out=None if made.left_out is None else _summary(made.left_out),
        highest=_named(analysis, ranked[::-1][:count], links),
        lowest=_named(analysis, ranked[:count], links),
    )


def _summary(summary: CausalSummary) -> Summary:
    controls = {
        name: _effects(found)
        for name in ("other", "shuffled", "mean", "random")
        if (found := getattr(summary, name)) is not None
    }
    return Summary(reading=_effects(summary.reading), correlation=figure(summary.correlation), **controls)


def _effects(found: ControlSummary) -> Effects:
    return Effects(
        n=found.n,
        score=figure(found.score),
        score_after=figure(found.after),
        kl=figure(found.kl) or 0.0,
        loss=figure(found.loss),
        kept=figure(found.kept) or 0.0,
    )


def _named(analysis: Analysis, scores: Sequence[CausalScore], links: Links) -> list[ScoredToken]:
    read = by_position(analysis)
    named = []
    for score in scores:
        token = analysis.tokens[score.position]
        reading = next((r for r in read.get(score.position, []) if r.sample == score.sample), None)
        named.append(
            ScoredToken(
                position=score.position,
                token=token.text,
                speaker=speaker_of(token.role, token.special),
                sample=score.sample,
                fve=None if reading is None else figure(reading.fve),
                causal=causal_part(score),
                reading="" if reading is None else cut(reading.text, SHORT_TEXT),
                permalink=links.analysis(analysis.id, score.position),
            )
        )
    return named
