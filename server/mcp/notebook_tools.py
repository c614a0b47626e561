"""Tools that write a notebook, and read one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from server.errors import BadInput
from server.mcp.answers import SHORT_TEXT, Answer, Page, Part, cut, page_of
from server.mcp.links import AnyContext, Links
from server.notebooks.schema import Entry, EntryRequest, Id, NotebookRequest, Title
from server.services import Services

Offset = Annotated[int, Field(ge=0, description="The first entry of the answer, counted from 0.")]


class EntryPart(Part):
    """An entry. What it shows is named by ids that the other tools take."""

    id: str
    kind: str
    name: str | None = None
    note: str | None = None
    analysis: str | None = None
    position: int | None = None
    edit: str | None = None
    measurement: str | None = None
    study: str | None = None


class KeptAnswer(Answer):
    """The entry that was added, and the notebook that it is in."""

    notebook: str
    title: str
    entry: EntryPart


class NotebookAnswer(Page):
    """A notebook: its entries in their order."""

    notebook: str
    title: str
    entries: list[EntryPart]


class NotebookTools:
    """Writes notebooks and reads them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def keep_finding(
        self,
        context: AnyContext,
        finding: Annotated[
            EntryRequest,
            Field(
                description="A `name`, a `note` in Markdown, and the evidence: an `analysis` with a `position` or an "
                "`edit`, or a `study`; without evidence, a note alone."
            ),
        ],
        notebook: Annotated[
            Id | None, Field(description="The id of the notebook; without it one is begun.")
        ] = None,
        title: Annotated[Title | None, Field(description="The title of a notebook that is begun.")] = None,
    ) -> KeptAnswer:
        """Put a finding into a notebook: a page that a person reads, with your words beside the evidence, its scores
        and its nulls. Say in the note what would have counted against the finding. Asked twice, it is there twice.
        """
        notebooks = self._services.notebooks
        if (notebook is None) == (title is None):
            raise BadInput("notebook", "Give the id of a notebook, or the title of a new one; one of both.")
        if notebook is None:
            await notebooks.check(finding)  # before there is an empty notebook
            notebook = (await notebooks.create(NotebookRequest(title=title or ""))).id
        made = await notebooks.add(notebook, finding)
        kept = await notebooks.get(notebook)
        return KeptAnswer(
            permalink=Links(context, self._services.settings).page(made.url),
            notebook=kept.id,
            title=cut(kept.title, SHORT_TEXT),
            entry=_part(made),
        )

    async def notebook(
        self,
        context: AnyContext,
        notebook: Annotated[Id, Field(description="The id of a notebook.")],
        offset: Offset = 0,
    ) -> NotebookAnswer:
        """Read a notebook: names, notes, and the ids of the evidence, which the other tools show."""
        found = await self._services.notebooks.get(notebook)

        def answer(entries: list[EntryPart]) -> NotebookAnswer:
            return NotebookAnswer(
                permalink=Links(context, self._services.settings).page(found.url),
                notebook=found.id,
                title=cut(found.title, SHORT_TEXT),
                entries=entries,
            )

        return page_of(answer, [_part(entry) for entry in found.entries], offset, "entries")


def _part(entry: Entry) -> EntryPart:
    return EntryPart(
        id=entry.id,
        kind=entry.kind,
        name=entry.name or None,
        note=cut(entry.note) or None,
        analysis=entry.analysis,
        position=entry.position,
        edit=entry.edit,
        measurement=entry.measurement,
        study=entry.study,
    )
