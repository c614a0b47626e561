"""/compare: two analyses, or two samples of one, beside each other."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from frontend import formatting, templating
from frontend.compare.comparison import Side, compare
from frontend.compare.contexts import ChooseSide, CompareContext, ComparePage
from frontend.dependencies import Models, Service
from frontend.links import Field
from frontend.urls import urls
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import BadInput

router = APIRouter(include_in_schema=False)
OFFERED = 100

Position = Annotated[int | None, Query(ge=0)]
Sample = Annotated[int, Query(ge=1, le=1000)]


@router.get(urls.compare_path)
async def page(
    service: Service,
    models: Models,
    a: str = "",
    b: str = "",
    sa: Sample = 1,
    sb: Sample = 1,
    t: Position = None,
    u: Position = None,
) -> HTMLResponse:
    """Both sides, and the form that chooses them."""
    context: CompareContext | None = None
    if a and b:
        first, second = await service.get(a), await service.get(b)
        _check("sa", first, sa)
        _check("sb", second, sb)
        context = await asyncio.to_thread(compare, Side(first, sa - 1), Side(second, sb - 1), t, u)
    offered = await _offered(service)
    sides = [_choice("a", offered, a, sa), _choice("b", offered, b, sb)]
    return await asyncio.to_thread(
        templating.page, "compare/compare.html", ComparePage(context, sides, models)
    )


def _check(field: str, analysis: Analysis, sample: int) -> None:
    made = analysis.request.verbalise.samples
    if sample > made:
        raise BadInput(field, f"There is no sample {sample}: this analysis was asked for {made}.")


async def _offered(service: Analyses) -> list[Field]:
    """Titles by id, the newest first."""
    return [
        Field(f"{formatting.quoted(' '.join(a.title.split()), 60)} ({a.pair}, {a.created:%d %b})", a.id)
        for a in await service.recent(OFFERED)
    ]


def _choice(name: str, offered: list[Field], chosen: str, sample: int) -> ChooseSide:
    known = not chosen or any(option.value == chosen for option in offered)
    return ChooseSide(name, offered if known else [Field(chosen, chosen), *offered], chosen, sample)
