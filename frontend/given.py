"""What every page is given: the analyses, the state of the models, and what the viewer looks at."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request

from frontend import wording
from frontend.contexts.pages import ModelsContext
from frontend.look import Look
from frontend.typed_words import resolved, typed_word
from frontend.view import ALONE, NO_WORDS, Around, View, Words
from server.analyses.interventions.service import Interventions
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import NlaError


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
    return ModelsContext(resident.name, resident.state, wording.plain(said), len(resident.names) > 1)


Models = Annotated[ModelsContext, Depends(models)]


def look(request: Request) -> Look:
    """What the address asks for; a part of a page (htmx says on which) asks for the rest as it stands there."""
    query = request.query_params.multi_items()
    current = request.headers.get("HX-Current-URL")
    return Look.meant(query, current) if current else Look.lenient(query)


Looked = Annotated[Look, Depends(look)]


def other_lens(request: Request, look: Looked) -> bool:
    """Whether a part of the page asks for another lens than the page's address does."""
    current = request.headers.get("HX-Current-URL")
    return current is not None and Look.meant([], current).lens != look.lens


OtherLens = Annotated[bool, Depends(other_lens)]


async def compare(service: Analyses, analysis: Analysis, look: Look) -> Words:
    """The curves of the words that are compared at the pinned token, or why there are none. That of a word that was
    typed is the last one.
    """
    view = View(analysis, look)
    typed = typed_word(look.typed)
    if view.pinned is None or not (look.words or typed):
        return NO_WORDS
    place = (analysis.id, view.pinned)
    try:
        exact = await resolved(service, *place, [typed] if typed else [], view.which)
        words = list(dict.fromkeys([*look.words, *exact]))
        return (await service.words(*place, words, view.which)).words, ""
    except NlaError as error:
        return (), f"The words cannot be compared now: {error.detail}"


async def around(service: Analyses, interventions: Interventions, analysis: Analysis, look: Look) -> Around:
    """What is known of the pinned token from elsewhere."""
    pinned = View(analysis, look).pinned
    if pinned is None:
        return ALONE
    beside = await service.beside(analysis, pinned)
    return *await compare(service, analysis, look), beside, await interventions.of(analysis.id, pinned)


async def view(id: str, service: Service, interventions: Edits, look: Looked) -> View:
    """The analysis as this viewer asks to see it; a word that was typed has become an exact one. Raises NotFound."""
    analysis = await service.get(id)
    found = await around(service, interventions, analysis, look)
    if look.typed and found[0]:
        look = look.but(words=tuple(curve.word for curve in found[0]), typed="")
    return View(analysis, look, {}, *found)


Viewed = Annotated[View, Depends(view)]


def scripted(request: Request) -> bool:
    """Whether the page asks for a fragment, rather than the browser for a page."""
    return request.headers.get("hx-request") == "true"


async def fields(request: Request) -> dict[str, str]:
    """The fields of a urlencoded form; of a repeated one the last, of the boxes that are ticked all, with commas."""
    body = (await request.body()).decode("utf-8", "replace")
    found = parse_qs(body, keep_blank_values=True)
    return {name: ",".join(values) if name == "also" else values[-1] for name, values in found.items()}
