"""/api/notebooks: findings with their names and notes, collected."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from server.notebooks.schema import (
    Entry,
    EntryChange,
    EntryRequest,
    Notebook,
    NotebookRequest,
    NotebookSummary,
)
from server.notebooks.service import Notebooks

router = APIRouter(prefix="/api/notebooks", tags=["notebooks"])


async def service(request: Request) -> Notebooks:
    """The app's notebooks."""
    notebooks: Notebooks = request.app.state.notebooks
    return notebooks


Service = Annotated[Notebooks, Depends(service)]


@router.post("", status_code=201)
async def create(request: NotebookRequest, notebooks: Service, response: Response) -> Notebook:
    """Begin a notebook. Everybody who reaches this server can read it and write in it."""
    made = await notebooks.create(request)
    response.headers["Location"] = f"/api/notebooks/{made.id}"
    return made


@router.get("")
async def recent(
    notebooks: Service,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Query(max_length=40)] = None,
) -> list[NotebookSummary]:
    """The notebooks that were changed last; for the next page, give the last id of this one as `before`."""
    return await notebooks.recent(limit, before)


@router.get("/{notebook_id}")
async def get(notebook_id: str, notebooks: Service) -> Notebook:
    """A notebook with its entries, in their order."""
    return await notebooks.get(notebook_id)


@router.patch("/{notebook_id}")
async def rename(notebook_id: str, request: NotebookRequest, notebooks: Service) -> Notebook:
    """Give a notebook another title."""
    return await notebooks.rename(notebook_id, request)


@router.delete("/{notebook_id}", status_code=204)
async def delete(notebook_id: str, notebooks: Service) -> Response:
    """Remove a notebook for good; what its entries show stays where it is."""
    await notebooks.delete(notebook_id)
    return Response(status_code=204)


@router.post("/{notebook_id}/entries", status_code=201)
async def add(notebook_id: str, request: EntryRequest, notebooks: Service, response: Response) -> Entry:
    """Add an entry at the end: a token, an edit, a tracked word, a study, or a note alone."""
    made = await notebooks.add(notebook_id, request)
    response.headers["Location"] = f"/api/notebooks/{notebook_id}/entries/{made.id}"
    return made


@router.get("/{notebook_id}/entries/{entry_id}")
async def entry(notebook_id: str, entry_id: str, notebooks: Service) -> Entry:
    """One entry."""
    return await notebooks.entry(notebook_id, entry_id)


@router.patch("/{notebook_id}/entries/{entry_id}")
async def change(notebook_id: str, entry_id: str, request: EntryChange, notebooks: Service) -> Entry:
    """Change the name, the note or the place of an entry; what is left out stays."""
    return await notebooks.change(notebook_id, entry_id, request)


@router.delete("/{notebook_id}/entries/{entry_id}", status_code=204)
async def remove(notebook_id: str, entry_id: str, notebooks: Service) -> Response:
    """Remove an entry for good; what it shows stays where it is."""
    await notebooks.remove(notebook_id, entry_id)
    return Response(status_code=204)
