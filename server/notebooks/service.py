"""The service of notebooks: collect, name, note, order, remove."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial

from sqlalchemy.orm import Session

from server.analyses.content_id import short
from server.analyses.service import Analyses
from server.errors import BadInput, Conflict, NotFound
from server.interventions.service import Interventions
from server.measurements.service import Measurements
from server.notebooks.contents import Contents, Shown
from server.notebooks.schema import (
    ENTRIES,
    Entry,
    EntryChange,
    EntryRequest,
    Kind,
    Notebook,
    NotebookRequest,
    NotebookSummary,
    entry_url,
    notebook_url,
)
from server.store import notebooks, repository
from server.store.database import Store
from server.store.tables import NotebookEntryRow, NotebookRow
from server.studies.service import Studies


class Notebooks:
    """All notebooks of this server. Whoever reads one may change it."""

    def __init__(
        self,
        store: Store,
        analyses: Analyses,
        interventions: Interventions,
        measurements: Measurements,
        studies: Studies,
    ) -> None:
        self._store = store
        self._analyses = analyses
        self._interventions = interventions
        self._measurements = measurements
        self._studies = studies
        self.contents = Contents(analyses, interventions, measurements, studies)
        """Finds the documents behind entries."""

    async def create(self, request: NotebookRequest) -> Notebook:
        """Begin a notebook."""
        now = repository.now()
        row = NotebookRow(id=_new_id(), title=request.title.strip(), created=now, changed=now)
        await self._store.write(partial(notebooks.add, row))
        return await self.get(row.id)

    async def recent(self, limit: int, before: str | None = None) -> list[NotebookSummary]:
        """The notebooks that were changed last; or those that follow the one of the id `before`."""
        found = await self._store.read(partial(notebooks.listed, limit, before))
        return [_summary(row, count) for row, count in found]

    async def get(self, id: str) -> Notebook:
        """A notebook with its entries. Raises NotFound."""
        found = await self._store.read(partial(notebooks.get, id))
        if found is None:
            raise _not_found(id)
        row, entries = found
        summary = _summary(row, len(entries))
        return Notebook(**summary.model_dump(), entries=[_entry(entry) for entry in entries])

    async def rename(self, id: str, request: NotebookRequest) -> Notebook:
        """Give a notebook another title. Raises NotFound."""
        work = partial(notebooks.rename, id, request.title.strip(), repository.now())
        if not await self._store.write(work):
            raise _not_found(id)
        return await self.get(id)

    async def delete(self, id: str) -> None:
        """Remove a notebook for good; what its entries show stays where it is. Raises NotFound."""
        if not await self._store.write(partial(notebooks.remove, id)):
            raise _not_found(id)

    async def add(self, id: str, request: EntryRequest) -> Entry:
        """Add an entry at the end. Raises NotFound for a notebook that is not there, BadInput for what cannot be put
        into one, and Conflict where it is full.
        """
        values = await self._checked(request)
        now = repository.now()
        row = NotebookEntryRow(
            id=_new_id(),
            notebook_id=id,
            place=0,
            name=request.name.strip(),
            note=request.note,
            created=now,
            changed=now,
            **values,
        )
        added = await self._store.write(partial(notebooks.add_entry, row, ENTRIES))
        if added is None:
            raise _not_found(id)
        if not added:
            raise Conflict(f"This notebook has {ENTRIES} entries, which is the most: begin another one.")
        return await self.entry(id, row.id)

    async def check(self, request: EntryRequest) -> None:
        """Raise BadInput for what cannot be put into a notebook."""
        await self._checked(request)

    async def preview(self, request: EntryRequest) -> Shown:
        """Find the documents behind an entry that is not there yet; a note may be empty still. Raises BadInput."""
        only_note = request.analysis is None and request.study is None
        values = {} if only_note else await self._checked(request)
        now = repository.now()
        row = NotebookEntryRow(
            id="preview", notebook_id="", place=0, name="", note="", created=now, changed=now, **values
        )
        return await self.contents.one(_entry(row))

    async def entry(self, id: str, entry_id: str) -> Entry:
        """One entry. Raises NotFound."""
        found = next((entry for entry in (await self.get(id)).entries if entry.id == entry_id), None)
        if found is None:
            raise _no_entry(entry_id)
        return found

    async def change(self, id: str, entry_id: str, change: EntryChange) -> Entry:
        """Change the name, the note or the place of an entry. Raises NotFound, and Conflict where somebody else has
        changed it since it was `seen`.
        """
        now = repository.now()

        def work(session: Session) -> bool:
            found = notebooks.entry(id, entry_id, session)
            if found is None:
                return False
            if change.seen is not None and change.seen != found.changed:
                raise Conflict(
                    "Somebody has changed this entry meanwhile. Copy what you wrote, load the page again, and write it "
                    "there."
                )
            if change.name is not None:
                found.name = change.name.strip()
            if change.note is not None:
                found.note = change.note
            if change.place is not None:
                notebooks.move(found, change.place, session)
            notebooks.changed(found, now, session)
            return True

        if not await self._store.write(work):
            raise _no_entry(entry_id)
        return await self.entry(id, entry_id)

    async def remove(self, id: str, entry_id: str) -> None:
        """Remove an entry for good; what it shows stays where it is. Raises NotFound."""
        if not await self._store.write(partial(notebooks.remove_entry, id, entry_id, repository.now())):
            raise _no_entry(entry_id)

    async def _checked(self, request: EntryRequest) -> dict[str, str | int | None]:
        """The columns of what an entry shows, which is there. Raises BadInput."""
        of_analysis = {name: getattr(request, name) for name in ("position", "edit", "measurement")}
        given = [name for name, value in of_analysis.items() if value is not None]
        if len(given) > 1:
            raise BadInput(given[1], f"An entry shows one thing: leave {given[0]} or {given[1]} out.")
        if request.study is not None and (given or request.analysis is not None):
            raise BadInput("study", "An entry shows one thing: a study, or something of an analysis.")
        if given and request.analysis is None:
            raise BadInput("analysis", f"Say of which analysis the {given[0]} is.")
        if request.analysis is not None and not given:
            raise BadInput("position", "Say what of the analysis: a position, an edit or a measurement.")
        if request.study is None and request.analysis is None:
            if not (request.name.strip() or request.note.strip()):
                raise BadInput("note", "Write something, or say what the entry is to show.")
            return {}
        try:
            return await self._there(request)
        except NotFound as error:
            field = next(
                (name for name in ("study", *given) if getattr(request, name) is not None), "analysis"
            )
            raise BadInput(field, error.detail) from error

    async def _there(self, request: EntryRequest) -> dict[str, str | int | None]:
        """The columns, by the ids under which things really stand. Raises NotFound, and BadInput."""
        if request.study is not None:
            return {"study_id": (await self._studies.get(request.study)).id}
        assert request.analysis is not None, "it was checked"
        analysis = await self._analyses.get(request.analysis)
        if request.edit is not None:
            await self._interventions.get(analysis.id, request.edit)
        if request.measurement is not None:
            found = await self._measurements.get(analysis.id, request.measurement)
            if found.request.kind != "word":
                raise BadInput(
                    "measurement", "Of the measurements, those of a word have a figure of their own."
                )
        if request.position is not None and request.position >= len(analysis.tokens):
            raise BadInput("position", f"The text has {len(analysis.tokens)} tokens so far.")
        return {
            "analysis_id": analysis.id,
            "position": request.position,
            "edit_id": request.edit,
            "measurement_id": request.measurement,
        }


def _summary(row: NotebookRow, count: int) -> NotebookSummary:
    return NotebookSummary(
        id=row.id,
        url=notebook_url(row.id),
        title=row.title,
        created=row.created,
        changed=row.changed,
        count=count,
    )


def _entry(row: NotebookEntryRow) -> Entry:
    return Entry(
        id=row.id,
        url=entry_url(row.notebook_id, row.id),
        kind=_kind(row),
        name=row.name,
        note=row.note,
        analysis=row.analysis_id,
        position=row.position,
        edit=row.edit_id,
        measurement=row.measurement_id,
        study=row.study_id,
        created=row.created,
        changed=row.changed,
    )


def _kind(row: NotebookEntryRow) -> Kind:
    shown: Sequence[tuple[Kind, object]] = [
        ("study", row.study_id),
        ("edit", row.edit_id),
        ("word", row.measurement_id),
        ("token", row.analysis_id),
    ]
    return next((kind for kind, value in shown if value is not None), "note")


def _new_id() -> str:
    return short("notebook:" + secrets.token_hex(16))


def _not_found(id: str) -> NotFound:
    return NotFound(f"There is no notebook {id!r}.")


def _no_entry(id: str) -> NotFound:
    return NotFound(f"This notebook has no entry {id!r}.")
