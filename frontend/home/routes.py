"""The home page, and the state of the models in the head line."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from frontend import templating
from frontend.dependencies import (
    Edits,
    Measured,
    Models,
    Service,
    fields,
    scripted,
)
from frontend.home import forms
from frontend.home.contexts import ForecastContext, Home
from frontend.home.examples import EXAMPLES
from frontend.home.forecast import forecast_words
from frontend.layout import ModelsContext
from frontend.library import listing
from frontend.library.contexts import Option
from frontend.typed_form import FormError
from frontend.urls import urls
from frontend.view_state import ViewState
from server.analyses.service import Analyses
from server.errors import NlaError, NotReady
from server.measurements.schema import MeasurementRequest
from server.pairs.model_pool import ModelPool

router = APIRouter(include_in_schema=False)
RECENT = 8


@router.get(urls.home)
async def home(
    request: Request,
    service: Service,
    models: Models,
    measurements: Measured,
    source: Annotated[str | None, Query(alias="from")] = None,
) -> HTMLResponse:
    """The composer and what was asked lately; `?from=ID` fills the form from an earlier analysis."""
    form = forms.fill((await service.get(source)).request) if source else forms.blank(_limits(request))
    if source is None and measurements.is_wanted(None):
        form = replace(form, causal="1")
    return await _home(request, service, models, form)


@router.post(urls.home)
async def create(
    request: Request, service: Service, edits: Edits, measurements: Measured, models: Models
) -> Response:
    """Start (or find) the analysis that the form asks for, and go to its page, of an example to its first edit; or give
    the form back with a turn more or less.
    """
    asked = await fields(request)
    form = forms.read(asked)
    if "turn" in asked:
        return await _home(request, service, models, forms.changed(form, asked["turn"]))
    try:
        analysis, _ = await service.create(forms.request(form))
    except FormError as error:
        return await _home(request, service, models, replace(form, errors=error.errors), status=422)
    except NlaError as error:
        errors = forms.place(error.errors, error.detail, form)
        return await _home(request, service, models, replace(form, errors=errors), status=error.status)
    if form.causal:
        with suppress(NlaError):  # the queue is full, say: the page offers to ask again, and says why
            await measurements.submit(analysis.id, MeasurementRequest())
    made = await edits.of(analysis.id) if "example" in asked else []
    look = ViewState(t=made[0].request.position, edit=made[0].id) if made else None
    return RedirectResponse(urls.analysis(analysis.id, look), status_code=303)


@router.post(urls.forecast)
async def forecast(request: Request, service: Service) -> HTMLResponse:
    """Show how long the text in the form is and what its analysis would take; nothing of a form that says too little
    yet, or while the models load.
    """
    form = forms.read(await fields(request))
    context = ForecastContext()
    try:
        wanted = forms.request(form)
        context = ForecastContext(forecast_words(await service.forecast(wanted), wanted))
    except (FormError, NotReady):
        pass  # the form says what is wrong when it is sent, and the head line what is loading
    except NlaError as error:
        context = ForecastContext(error=error.detail)
    html = templating.fragment("home/forecast.forecast", context)
    return HTMLResponse(html, headers=templating.HEADERS)


async def _home(
    request: Request, service: Analyses, models: ModelsContext, form: forms.Form, status: int = 200
) -> HTMLResponse:
    resident = request.app.state.models
    context = Home(
        form=form,
        examples=EXAMPLES,
        recent=listing.listed(await service.recent(RECENT, studies=False), datetime.now(UTC)),
        models=models,
        limits=_limits(request),
        pairs=listing.offered(resident.names, models, form.pair),
        along=await _along(resident, form),
    )
    if scripted(request):
        return HTMLResponse(templating.render("home/composer.html", context), status, templating.HEADERS)
    return templating.page("home/home.html", context, status=status)


def _limits(request: Request) -> forms.Limits:
    return forms.Limits.of(request.app.state.settings)


async def _along(resident: ModelPool, form: forms.Form) -> list[Option]:
    """The pairs that have a sibling here: each can read along with that."""
    if len(resident.names) == 1:
        return []
    found = [
        (name, await resident.layer_key(name)) for name in resident.names if await resident.siblings(name)
    ]
    return listing.along([(name, aim.layer) for name, aim in found], form.also)


@router.get(urls.models)
async def models_status(models: Models) -> HTMLResponse:
    """The head line's note on the models, asked for again and again while they load."""
    return HTMLResponse(templating.fragment("layout_parts.models_status", models), headers=templating.HEADERS)
