"""Agreement of a token's readings, and reading it more often."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from frontend import templating
from frontend.agreement.agreement import agreement_context, refused
from frontend.agreement.contexts import AgreementPage
from frontend.analysis.token_names import token_name
from frontend.dependencies import Measured, Models, Service, Viewed, scripted
from frontend.urls import urls
from frontend.view_state import ViewState
from server.analyses.schema import Verbalise
from server.errors import BadInput, Conflict, NotFound

router = APIRouter(include_in_schema=False)
Last = Annotated[int | None, Query(ge=0, lt=2**31)]
SAMPLES = 8
"""Readings of a token that is read several times, where the server allows as many."""


@router.get("/a/{id}/agreement")
async def agreement(
    id: str, view: Viewed, measurements: Measured, models: Models, request: Request
) -> Response:
    """Compare the readings of the pinned token with each other."""
    position = view.pinned
    if position is None:
        raise NotFound("This analysis has no tokens yet.")
    try:
        (found,) = (await measurements.agreement(view.analysis.id, position)).positions
        context = agreement_context(found, fve=view.analysis.fve_variance is not None)
    except Conflict as error:
        context = refused(position, error.detail)
    if scripted(request):
        html = templating.fragment("agreement/agreement.agreement", context)
        return Response(html, headers=templating.HEADERS, media_type="text/html")
    back = urls.analysis(id, view.view_state)
    found_page = AgreementPage(token_name(view, position), back, context, models)
    return templating.page("agreement/page.html", found_page)


@router.post("/a/{id}/samples")
async def read_again(
    id: str, view: Viewed, service: Service, request: Request, last: Last = None
) -> RedirectResponse:
    """Have the pinned token, or those from it to the `last` one, read several times, as an analysis of its own, and go
    there.
    """
    asked, position = view.analysis.request, view.pinned
    if position is None:
        raise NotFound("This analysis has no tokens yet.")
    if last is not None and not position <= last < len(view.analysis.tokens):
        raise BadInput("last", f"There are no tokens {position} to {last}.")
    samples = min(SAMPLES, request.app.state.settings.max_samples)
    verbalise = Verbalise(
        samples=samples, max_new_tokens=asked.verbalise.max_new_tokens, seed=asked.verbalise.seed
    )
    positions = list(range(position, (position if last is None else last) + 1))
    wanted = asked.model_copy(update={"positions": positions, "verbalise": verbalise, "also": []})
    analysis, _ = await service.create(wanted)
    return RedirectResponse(urls.analysis(analysis.id, ViewState(t=position)), status_code=303)
