"""Tools that start studies and tell their figures."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from server.jobs.progress import FINAL
from server.mcp.analysis_tools import Offset
from server.mcp.answers import SHORT_TEXT, Page, Part, cut, figure, page_of
from server.mcp.answers import interval as ends
from server.mcp.links import AnyContext, Links
from server.mcp.waiting import PATIENCE, Seconds, wait
from server.services import Services
from server.studies.requests import Request, StudyRequest
from server.studies.schema import Statistic, Study

NOTES = 6
"""Notes on what the figures must not be taken for that are told."""
_REQUEST: TypeAdapter[Request] = TypeAdapter(StudyRequest)


class FigurePart(Part):
    """One statistic beside what chance gives."""

    group: str
    name: str
    value: float | None = None
    interval: tuple[float, float] | None = Field(default=None, description="95 %, resampled by case.")
    null: float | None = Field(default=None, description="By chance.")
    null_interval: tuple[float, float] | None = Field(default=None, description="By chance: the middle 95 %.")
    p: float | None = Field(default=None, description="Corrected for all comparisons of the study (Holm).")
    n: int
    cases: int


class StudyAnswer(Page):
    """A study as it stands; `offset` counts figures."""

    id: str
    kind: str
    title: str
    pair: str
    status: str
    done: int = Field(description="Cases that are made.")
    cases: int = Field(description="Cases that it is to have.")
    error: str | None = None
    figures: list[FigurePart]
    caveats: list[str] | None = Field(default=None, description="What the figures must not be taken for.")


class StudyTools:
    """Starts studies and tells their figures."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def start_study(
        self,
        context: AnyContext,
        declaration: Annotated[
            dict[str, Any],
            Field(
                description="As the body of POST /api/studies. Of multiplication: {kind: multiplication, problems: 50, "
                "factors: [[10, 99], [10, 99]]}. Of prompts: {kind: prompts, template: 'The capital of {country} is', "
                "rows: [{country: France}, …], positions, measures: {capital: {token: '{country}'}}}."
            ),
        ],
        wait_seconds: Seconds = PATIENCE,
    ) -> StudyAnswer:
        """Analyse many texts by one declaration, and count over their readings with intervals and nulls. The same
        declaration is the same study: one that was broken off goes on.
        """
        id, _ = await self._services.studies.submit(_REQUEST.validate_python(declaration))
        return await self.study(context, id, wait_seconds=wait_seconds)

    async def study(
        self,
        context: AnyContext,
        study: Annotated[str, Field(min_length=1, max_length=40, description="The id of a study.")],
        offset: Offset = 0,
        wait_seconds: Seconds = 0,
    ) -> StudyAnswer:
        """Tell how far a study is, and its figures so far, each beside its null. Say p and the null with each value."""
        studies = self._services.studies
        await studies.get(study)
        await wait(studies.events(study), context, wait_seconds)
        found = await studies.get(study)
        link = Links(context, self._services.settings).page(found.url)
        rows = [
            _figure(group, name, statistic)
            for group, each in found.statistics.items()
            for name, statistic in each.items()
        ]
        return page_of(lambda shown: _answer(found, shown, link), rows, offset, "figures")


def _answer(study: Study, shown: list[FigurePart], link: str) -> StudyAnswer:
    going_on = study.status not in FINAL
    return StudyAnswer(
        permalink=link,
        note="It goes on: ask again for more." if going_on else None,
        id=study.id,
        kind=study.kind,
        title=cut(study.title, SHORT_TEXT),
        pair=study.pair,
        status=study.status,
        done=len(study.cases),
        cases=study.progress.total or len(study.cases),
        error=study.error and cut(study.error),
        figures=shown,
        caveats=[cut(note, 2 * SHORT_TEXT) for note in study.notes[:NOTES]] or None,
    )


def _figure(group: str, name: str, statistic: Statistic) -> FigurePart:
    null = statistic.null
    return FigurePart(
        group=group,
        name=name,
        value=figure(statistic.value),
        interval=ends(statistic.interval),
        null=figure(null.value) if null else None,
        null_interval=ends(null.interval) if null else None,
        p=figure(statistic.p_corrected),
        n=statistic.n,
        cases=statistic.cases,
    )
