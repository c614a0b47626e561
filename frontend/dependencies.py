"""Dependencies of the pages: the analyses, the state of the models, and what the viewer looks at. They are coroutines,
as FastAPI would run functions in threads of its pool: a wait for each before a route begins.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request

from frontend import formatting
from frontend.analysis.view import NO_PANEL_DATA, NO_WORDS, PanelData, View, Words
from frontend.layout import ModelsContext
from frontend.lens.typed_words import resolved, typed_word
from frontend.shared_streams import SharedStreams
from frontend.view_state import ViewState
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import NlaError
from server.interventions.service import Interventions
from server.measurements.service import Measurements
from server.vectors.service import Vectors

VECTORS = 50
"""Vectors that the form of an edit offers, the newest."""


async def analyses(request: Request) -> Analyses:
    """The service behind every page."""
    service: Analyses = request.app.state.analyses
    return service


Service = Annotated[Analyses, Depends(analyses)]


async def interventions(request: Request) -> Interventions:
    """The service behind the edits."""
    service: Interventions = request.app.state.interventions
    return service


Edits = Annotated[Interventions, Depends(interventions)]


async def measurements(request: Request) -> Measurements:
    """The service behind the causal scores."""
    service: Measurements = request.app.state.measurements
    return service


Measured = Annotated[Measurements, Depends(measurements)]


async def vectors(request: Request) -> Vectors:
    """The service behind the vectors."""
    service: Vectors = request.app.state.vectors
    return service


Kept = Annotated[Vectors, Depends(vectors)]


async def streams(request: Request) -> SharedStreams:
    """The event streams of open pages."""
    shared: SharedStreams = request.app.state.page_streams
    return shared


Streams = Annotated[SharedStreams, Depends(streams)]


async def models(request: Request) -> ModelsContext:
    """The pair that answers here, and whether it can yet."""
    resident = request.app.state.models
    words = {"ready": "resident", "failed": f"could not be loaded: {resident.message}"}
    said = words.get(resident.state, f"loading: {resident.message}")
    return ModelsContext(
        resident.name,
        resident.state,
        formatting.plain(said),
        several=len(resident.names) > 1,
        guarded=request.app.state.settings.token is not None,
    )


Models = Annotated[ModelsContext, Depends(models)]


async def view_state(request: Request) -> ViewState:
    """Parse the view from the address; a fragment's request takes the rest from the page that htmx names."""
    query = request.query_params.multi_items()
    current = request.headers.get("HX-Current-URL")
    return ViewState.meant(query, current) if current else ViewState.lenient(query)


RequestedState = Annotated[ViewState, Depends(view_state)]


async def other_lens(request: Request, view_state: RequestedState) -> bool:
    """Return whether a part of the page asks for another lens than the page's address does."""
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
    service: Analyses,
    interventions: Interventions,
    vectors: Vectors,
    analysis: Analysis,
    view_state: ViewState,
) -> PanelData:
    """Gather what other analyses and edits hold of the pinned token."""
    pinned = View(analysis, view_state).pinned
    if pinned is None:
        return NO_PANEL_DATA
    other_layers = await service.layer_readings(analysis, pinned)
    made, pending, edited = await interventions.of_token(analysis.id, pinned)
    fitting = await vectors.recent(VECTORS, pair=analysis.pair, layer=analysis.layer)
    return *await compare(service, analysis, view_state), other_layers, made, pending, fitting, edited


async def view(
    id: str,
    service: Service,
    interventions: Edits,
    measured: Measured,
    kept: Kept,
    view_state: RequestedState,
) -> View:
    """The analysis as this viewer asks to see it; a word that was typed has become an exact one. Raises NotFound."""
    analysis = await service.get(id)
    found = await panel_data(service, interventions, kept, analysis, view_state)
    if view_state.typed and found[0]:
        view_state = view_state.replace(words=tuple(curve.word for curve in found[0]), typed="")
    view = View(analysis, view_state, {}, *found)
    pinned = view.pinned if view.final else None
    samples = [reading.sample for reading in analysis.readings if reading.position == pinned]
    causal, form, parts = await measured.of_token(analysis.id, pinned or 0, samples)
    return view.replace(causal=causal, form=form, parts=parts)


Viewed = Annotated[View, Depends(view)]


def scripted(request: Request) -> bool:
    """Return whether the page asks for a fragment, rather than the browser for a page."""
    return request.headers.get("hx-request") == "true"


async def fields(request: Request) -> dict[str, str]:
    """The fields of a urlencoded form; of a repeated one the last, of the boxes that are ticked all, with commas."""
    body = (await request.body()).decode("utf-8", "replace")
    found = parse_qs(body, keep_blank_values=True)
    return {name: ",".join(values) if name == "also" else values[-1] for name, values in found.items()}
