"""Tools that doubt readings: whether several agree, and what is left of one in another form."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from server.analyses.schema import Analysis, Seed
from server.mcp.analysis_tools import AnalysisId, Offset
from server.mcp.answers import SHORT_TEXT, Page, Part, cut, figure, page_of
from server.mcp.answers import interval as ends
from server.mcp.links import AnyContext, Links
from server.mcp.reading_tools import Position
from server.mcp.waiting import PATIENCE, Seconds, wait_for_made
from server.measurements.agreement_schema import AgreementSummary, PositionAgreement
from server.measurements.form_tests import measurement_request
from server.measurements.schema import (
    FormLoss,
    FormTestRequest,
    Language,
    Measurement,
    ScoredForm,
    TestKind,
    Texts,
)
from server.services import Services

CLAIMS = 5
"""Claims of a position that are told, the most frequent."""
Interval = tuple[float, float]


class AgreementPart(Part):
    """Agreement of the readings of one token."""

    position: int
    token: str
    samples: int
    cos: float | None = Field(default=None, description="Mean cosine of their reconstructions.")
    cos_other: float | None = Field(default=None, description="Null: with readings of other tokens.")
    recurring: float | None = Field(
        default=None, description="Of a claim of one reading, the share of the others that make it."
    )
    recurring_other: float | None = Field(
        default=None, description="Null: the share of the readings of other tokens that make it."
    )
    mean_score: float | None = Field(default=None, description="FVE, or the cosine where V is not known.")
    best_score: float | None = Field(default=None, description="Chosen by its score, so it is no estimate.")
    claims: list[tuple[str, str]] = Field(description="A claim, and how many readings make it: 3 of 8.")
    permalink: str


class AgreementMeans(Part):
    """Means over the content of a text, with 95 % intervals that resample `unit`."""

    n: int
    unit: str
    units: int
    cos: float | None = None
    cos_interval: Interval | None = None
    cos_other: float | None = None
    recurring: float | None = None
    recurring_interval: Interval | None = None
    recurring_other: float | None = None


class AgreementAnswer(Page):
    """Agreement of several readings of each token; `offset` counts tokens."""

    analysis: str
    summary: AgreementMeans | None = None
    positions: list[AgreementPart]


class FormPart(Part):
    """A form of a reading and its scores."""

    position: int
    form: str = Field(description="whole is the reading as it is.")
    text: str
    fve: float | None = None
    cos: float | None = None
    causal: float | None = None


class LossPart(Part):
    """Losses of `n` readings in another form, in the mean, with the interval that resamples `unit`."""

    form: str
    n: int
    lost: float | None = None
    interval: Interval | None = None
    undone_lost: float | None = Field(default=None, description="Of the causal score.")
    undone_interval: Interval | None = None


class FormTestAnswer(Page):
    """A test of readings, or how far it is; `offset` counts forms."""

    id: str
    analysis: str
    status: str
    unit: str | None = Field(default=None, description="What the intervals resample.")
    units: int | None = None
    held: float | None = Field(default=None, description="What the readings hold as they are.")
    undone: float | None = Field(default=None, description="What they undo as they are.")
    losses: list[LossPart] | None = None
    forms: list[FormPart]


class DoubtTools:
    """Doubts readings."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def agreement(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        position: Annotated[int | None, Field(ge=0, description="One token; all, unless given.")] = None,
        offset: Offset = 0,
    ) -> AgreementAnswer:
        """Compare several readings of each token, of an analysis with several samples: which claims recur, how far the
        reconstructions agree, each beside the same between different tokens (the null). What recurs is truer.
        """
        found = await self._services.analyses.get(analysis)
        links = Links(context, self._services.settings)
        agreed = await self._services.measurements.agreement(found.id, position)
        rows = [_agreement(found, each, links) for each in agreed.positions]
        summary = None if agreed.summary is None else _means(agreed.summary)

        def answer(shown: list[AgreementPart]) -> AgreementAnswer:
            link = links.analysis(found.id, position)
            return AgreementAnswer(permalink=link, analysis=found.id, summary=summary, positions=shown)

        return page_of(answer, rows, offset, "tokens")

    async def form_test(
        self,
        context: AnyContext,
        analysis: AnalysisId,
        kind: Annotated[TestKind, Field(description="What becomes of each reading.")],
        positions: Annotated[
            list[Position] | None,
            Field(min_length=1, max_length=20_000, description="All of content, unless given."),
        ] = None,
        sample: Annotated[int, Field(ge=0, description="Which reading of each token.")] = 0,
        texts: Annotated[Texts, Field(description="Of given: other words for one reading.")] = [],  # noqa: B006
        language: Annotated[Language, Field(description="Of translate.")] = "French",
        seed: Seed = 0,
        offset: Offset = 0,
        wait_seconds: Seconds = PATIENCE,
    ) -> FormTestAnswer:
        """Score readings again in another form: without each sentence, shuffled, in lower case, paraphrased,
        translated, or in given words. What only the form carries is no meaning. The null of leave_out is
        without_random.
        """
        measurements = self._services.measurements
        asked = FormTestRequest(
            kind=kind, positions=positions, sample=sample, texts=texts, language=language, seed=seed
        )
        id, _ = await measurements.submit(analysis, measurement_request(asked))
        found = await self._services.analyses.get(analysis)
        made = await wait_for_made(measurements, found.id, id, context, wait_seconds)
        link = Links(context, self._services.settings).analysis(found.id, positions[0] if positions else None)
        if not isinstance(made, Measurement) or made.test is None:
            note = "It goes on: ask the same again to go on waiting."
            stage = "done" if isinstance(made, Measurement) else made.progress.stage
            return FormTestAnswer(permalink=link, note=note, id=id, analysis=found.id, status=stage, forms=[])
        summary = made.test.summary

        def answer(shown: list[FormPart]) -> FormTestAnswer:
            return FormTestAnswer(
                permalink=link,
                id=id,
                analysis=found.id,
                status="done",
                unit=summary.unit,
                units=summary.units,
                held=figure(summary.held),
                undone=figure(summary.undone),
                losses=[_loss(loss) for loss in summary.losses],
                forms=shown,
            )

        return page_of(answer, [_form(form) for form in made.test.forms], offset, "forms")


def _agreement(analysis: Analysis, found: PositionAgreement, links: Links) -> AgreementPart:
    return AgreementPart(
        position=found.position,
        token=analysis.tokens[found.position].text,
        samples=found.samples,
        cos=figure(found.cos),
        cos_other=figure(found.cos_other),
        recurring=figure(found.recurring),
        recurring_other=figure(found.recurring_other),
        mean_score=figure(found.score),
        best_score=figure(found.best.score),
        claims=[
            (cut(claim.text, SHORT_TEXT), f"{len(claim.samples)} of {found.samples}")
            for claim in found.claims[:CLAIMS]
        ],
        permalink=links.analysis(analysis.id, found.position),
    )


def _means(summary: AgreementSummary) -> AgreementMeans:
    return AgreementMeans(
        n=summary.n,
        unit=summary.unit,
        units=summary.units,
        cos=figure(summary.cos),
        cos_interval=ends(summary.cos_interval),
        cos_other=figure(summary.cos_other),
        recurring=figure(summary.recurring),
        recurring_interval=ends(summary.recurring_interval),
        recurring_other=figure(summary.recurring_other),
    )


def _loss(loss: FormLoss) -> LossPart:
    return LossPart(
        form=loss.kind,
        n=loss.n,
        lost=figure(loss.lost),
        interval=ends(loss.interval),
        undone_lost=figure(loss.undone_lost),
        undone_interval=ends(loss.undone_interval),
    )


def _form(form: ScoredForm) -> FormPart:
    return FormPart(
        position=form.position,
        form=form.label,
        text=cut(form.text),
        fve=figure(form.fve),
        cos=figure(form.cos),
        causal=figure(form.causal),
    )
