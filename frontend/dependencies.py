"""What every page is given: the analyses, the state of the models, and what the viewer looks at."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request

from frontend import formatting
from frontend.analysis.view import NO_PANEL_DATA, NO_WORDS, PanelData, View, Words
from frontend.layout import ModelsContext
from frontend.lens.typed_words import resolved, typed_word
from frontend.view_state import ViewState
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import NlaError
from server.interventions.service import Interventions


def analyses(request: Request) -> Analyses:
    """The service behind every page."""
    service: Analyses = request.app.state.analyses
    return service


Service = Annotated[Analyses, Depends(analyses)]


def interventions(request: Request) -> Interventions:
    """The service behind the edits."""
    service: Interventions = request.app.state.interventions
    return service


Edits = Annotated[Interventions, Depends(interventions)]


def models(request: Request) -> ModelsContext:
    """Which pair answers here, and whether it can yet."""
    resident = request.app.state.models
    words = {"ready": "resident", "failed": f"could not be loaded: {resident.message}"}
    said = words.get(resident.state, f"loading: {resident.message}")
    return ModelsContext(resident.name, resident.state, formatting.plain(said), len(resident.names) > 1)


Models = Annotated[ModelsContext, Depends(models)]


def view_state(request: Request) -> ViewState:
    """What the address asks for; a part of a page (htmx says on which) asks for the rest as it stands there."""
    query = request.query_params.multi_items()
    current = request.headers.get("HX-Current-URL")
    return ViewState.meant(query, current) if current else ViewState.lenient(query)


RequestedState = Annotated[ViewState, Depends(view_state)]


def other_lens(request: Request, view_state: RequestedState) -> bool:
    """Whether a part of the page asks for another lens than the page's address does."""
    current = request.headers.get("HX-Current-URL")
    return current is not None and ViewState.meant([], current).lens != view_state.lens


OtherLens = Annotated[bool, Depends(other_lens)]


async def compare(service: Analyses, analysis: Analysis, view_state: ViewState) -> Words:
    """The curves of the words that are compared at the pinned token, or why there are none. That of a word that was
    typed is the last one.
    """
    view = View(analysis, view_state)
    typed = typed_word(view_state.typed)
    if view.pinned is None or not (view_state.words or typed):
        return NO_WORDS
    place = (analysis.id, view.pinned)
    try:
        exact = await resolved(service, *place, [typed] if typed else [], view.which)
        words = list(dict.fromkeys([*view_state.words, *exact]))
        return (await service.words(*place, words, view.which)).words, ""
    except NlaError as error:
        return (), f"The words cannot be compared now: {error.detail}"


async def panel_data(
    service: Analyses, interventions: Interventions, analysis: Analysis, view_state: ViewState
) -> PanelData:
    """What is known of the pinned token from elsewhere."""
    pinned = View(analysis, view_state).pinned
    if pinned is None:
        return NO_PANEL_DATA
    beside = await service.beside(analysis, pinned)
    return *await compare(service, analysis, view_state), beside, await interventions.of(analysis.id, pinned)


async def view(id: str, service: Service, interventions: Edits, view_state: RequestedState) -> View:
    """The analysis as this viewer asks to see it; a word that was typed has become an exact one. Raises NotFound."""
    analysis = await service.get(id)
    found = await panel_data(service, interventions, analysis, view_state)
    if view_state.typed and found[0]:
        view_state = view_state.replace(words=tuple(curve.word for curve in found[0]), typed="")
    return View(analysis, view_state, {}, *found)


Viewed = Annotated[View, Depends(view)]


def scripted(request: Request) -> bool:
    """Whether the page asks for a fragment, rather than the browser for a page."""
    return request.headers.get("hx-request") == "true"


async def fields(request: Request) -> dict[str, str]:
    """The fields of a urlencoded form; of a repeated one the last, of the boxes that are ticked all, with commas."""
    body = (await request.body()).decode("utf-8", "replace")
    found = parse_qs(body, keep_blank_values=True)
    return {name: ",".join(values) if name == "also" else values[-1] for name, values in found.items()}
