"""What every page is given: the analyses, the state of the models, and what the viewer looks at."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from frontend import wording
from frontend.contexts.pages import ModelsContext
from frontend.look import Look
from frontend.view import NO_WORDS, Around, View, Words
from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import NlaError


def analyses(request: Request) -> Analyses:
    """The service behind every page."""
    service: Analyses = request.app.state.analyses
    return service


Service = Annotated[Analyses, Depends(analyses)]


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
    return Look.meant(query, current) if current else Look.of(query)


Looked = Annotated[Look, Depends(look)]


def other_lens(request: Request, look: Looked) -> bool:
    """Whether a part of the page asks for another lens than the page's address does."""
    current = request.headers.get("HX-Current-URL")
    return current is not None and Look.meant([], current).lens != look.lens


OtherLens = Annotated[bool, Depends(other_lens)]


async def compare(service: Analyses, analysis: Analysis, look: Look) -> Words:
    """The curves of the words that are compared at the pinned token, or why there are none."""
    view = View(analysis, look)
    if not look.words or view.pinned is None:
        return NO_WORDS
    try:
        return (await service.words(analysis.id, view.pinned, look.words, view.which)).words, ""
    except NlaError as error:
        return (), f"The words cannot be compared now: {error.detail}"


async def around(service: Analyses, analysis: Analysis, look: Look) -> Around:
    """What is known of the pinned token from elsewhere."""
    pinned = View(analysis, look).pinned
    beside = await service.beside(analysis, pinned) if pinned is not None else []
    return *await compare(service, analysis, look), beside


async def view_of(service: Analyses, id: str, look: Look) -> View:
    """The analysis as this viewer asks to see it. Raises NotFound."""
    analysis = await service.get(id)
    return View(analysis, look, {}, *await around(service, analysis, look))
