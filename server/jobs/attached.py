"""Jobs that belong to something and come to one document: edits, measurements, readings of vectors.

What was asked decides where one stands, so nothing is computed twice; one outlives whoever asked for it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy.orm import Session

from server.errors import Conflict, Interrupted, ModelError, NotFound
from server.jobs.attached_job import AttachedJob, AttachedKind, NotMade, Row
from server.jobs.event_log import Event, EventLog
from server.jobs.progress import Progress
from server.jobs.scheduler import Scheduler
from server.jobs.streams import Found, RemoteState, Streams
from server.schema import ResponseModel
from server.store import attached, leases
from server.store.database import Store
from server.store.tables import AttachedRow

Made = TypeVar("Made", bound=ResponseModel)
Pending = TypeVar("Pending", bound=ResponseModel)
BROKEN_OFF = ("failed", "cancelled")


class AttachedJobs(ABC, Generic[Row, Made, Pending]):
    """All of one kind: those that are jobs of the scheduler, the others in the store."""

    noun: str
    """The name of one of them in messages: `edit`."""
    parent: str
    """The name of what they belong to: `analysis`."""
    table: type[Row]

    def __init__(self, scheduler: Scheduler, store: Store, kind: AttachedKind[Any, Any]) -> None:
        self._scheduler = scheduler
        self._store = store
        self._jobs = kind
        scheduler.add(kind)
        self._streams = Streams(self._look, self._change_token, _lost)

    @abstractmethod
    def _made(self, result: str) -> Made:
        """The document that is kept."""

    @abstractmethod
    def _pending(self, row: Row, progress: Progress) -> Pending:
        """One that is being made. Raises Unreadable."""

    @abstractmethod
    def _parent(self, parent_id: str, session: Session) -> str:
        """The id under which what they belong to really stands. Raises NotFound."""

    # Asking

    async def _submit(self, row: Row) -> bool:
        """Have the job of this row made, unless it is or is being made; returns whether it was there already. Raises
        NotFound where what it belongs to has just been deleted, and Busy when the queue is full.
        """

        def claim(server: str, session: Session) -> tuple[bool, str | None]:
            self._parent(row.parent_id, session)  # it may just have been deleted
            found = attached.claim(self.table, row.id, session)
            if found is None or found.status in BROKEN_OFF:
                self._scheduler.check_room(self._jobs)
            if found is None:
                leases.add(row, server, session)
            made = found is not None and found.status == "done"
            return made, None if made else row.id

        return await self._scheduler.submit(self._jobs, claim)

    async def wait(self, id: str) -> Made:
        """The document, as soon as it is made. Raises Conflict when it is cancelled, Interrupted when this server ends,
        and what the models raise.
        """
        end: object = None
        async with aclosing(self._streams.batches(id, 0)) as batches:
            async for batch, _ in batches:
                end = batch[-1].data
        if isinstance(end, NotMade):
            if end.status == "cancelled":
                raise Conflict(f"This {self.noun} was cancelled before it was made.")
            ended = self._jobs.unkept_end(id)
            if ended is not None and ended.failure is not None:
                raise ended.failure
            raise ModelError(end.error or f"This {self.noun} could not be made.")
        if end is None or isinstance(end, Progress):
            raise Interrupted(f"The server is ending; it goes on with this {self.noun} when it starts again.")
        made: Made = end  # type: ignore[assignment]
        return made

    # Looking

    async def is_made(self, parent_id: str, id: str) -> bool:
        """Return whether it is kept whole."""
        row = await self._store.read(partial(attached.find, self.table, parent_id, id))
        return row is not None and row.status == "done"

    async def get(self, parent_id: str, id: str) -> Made | Pending:
        """One that is made or being made. Raises NotFound."""

        def find(session: Session) -> Made | Row:
            own = self._parent(parent_id, session)
            row = attached.find(self.table, own, id, session) if _well_formed(id) else None
            if row is None:
                raise self._unknown(id)
            return self._document(row)

        return await self._as_it_stands(await self._store.read(find))

    async def of(self, parent_id: str, **where: object) -> list[Made]:
        """List those that are made, oldest first. Raises NotFound."""

        def find(session: Session) -> list[Made]:
            own = self._parent(parent_id, session)
            return [self._made(result) for result in attached.made(self.table, own, session, **where)]

        return await self._store.read(find)

    async def pending(self, parent_id: str, **where: object) -> list[Pending]:
        """List those that are not made yet, oldest first. Raises NotFound."""

        def find(session: Session) -> Sequence[Row]:
            return attached.pending(self.table, self._parent(parent_id, session), session, **where)

        return [await self._of_row(row) for row in await self._store.read(find)]

    async def latest(self, parent_id: str, column: str, values: Sequence[str]) -> dict[str, Made | Pending]:
        """For each of some values of a column, the youngest of those that are being made, or else of those that are
        made; a value that none has is left out. Raises NotFound.
        """

        def find(session: Session) -> dict[str, Made | Row]:
            own = self._parent(parent_id, session)
            rows = attached.latest(self.table, own, session, column, values)
            return {value: self._document(row) for value, row in rows.items()}

        found = await self._store.read(find)
        return {value: await self._as_it_stands(document) for value, document in found.items()}

    def _document(self, row: Row) -> Made | Row:
        """The document of a row, once it is made: read where the row is, in a thread of the store."""
        return self._made(row.result) if row.status == "done" else row

    async def _as_it_stands(self, found: Made | Row) -> Made | Pending:
        return await self._of_row(found) if isinstance(found, self.table) else found  # type: ignore[return-value]

    async def events(
        self, parent_id: str, id: str, last_event_id: int | None = None
    ) -> AsyncGenerator[Event]:
        """Yield the events after `last_event_id`, then those that come: progress, then done (the document) or failed
        (NotMade). Raises NotFound at the first step.
        """
        await self.get(parent_id, id)
        async with aclosing(self.follow(id, last_event_id)) as events:
            async for event in events:
                yield event

    async def follow(self, id: str, last_event_id: int | None = None) -> AsyncGenerator[Event]:
        """Yield the events of one that was there just now; if it has been removed meanwhile, that."""
        cursor = last_event_id or 0
        try:
            async with aclosing(self._streams.batches(id, cursor)) as batches:
                async for batch, _ in batches:
                    for event in batch:
                        yield event
        except NotFound:
            yield _lost(id, cursor, None)

    async def _of_row(self, row: Row) -> Pending:
        job = self._scheduler.get(row.id)
        return self._pending(row, job.progress if isinstance(job, AttachedJob) else _progress_of(row))

    def _unknown(self, id: str) -> NotFound:
        return NotFound(f"This {self.parent} has no {self.noun} {id!r}.")

    async def _look(self, id: str) -> Found:
        job = self._scheduler.get(id)
        if job is not None:
            return Found(id, job.log)
        row = await self._row(id)
        if row is None or row.status in BROKEN_OFF:
            ended = self._jobs.unkept_end(id)
            if ended is not None:
                return Found(id, ended.log)
            raise NotFound(f"There is no {self.noun} {id!r}.")
        log = EventLog(max(row.run_number, 1))
        if row.status != "done":
            token = await self._token_of(row)  # first: what comes then is news
            await self._tell_kept(row, log)
            return Found(id, log, RemoteState(_progress_of(row), token))
        log.put("done", self._made(row.result))
        return Found(id, log)

    async def _change_token(self, id: str) -> object:
        row = await self._row(id)
        return None if row is None else await self._token_of(row)

    async def _token_of(self, row: Row) -> tuple[object, ...]:
        """A value that changes with whatever is kept of one."""
        return row.status, row.leased_by, row.run_number

    async def _tell_kept(self, row: Row, log: EventLog) -> None:
        """Tell what is kept of one that another server makes."""

    async def _row(self, id: str) -> Row | None:
        return await self._store.read(partial(attached.get, self.table, id))

    # Changing

    async def cancel(self, parent_id: str) -> list[str]:
        """End the making of all of them; their askers are told. Returns the ids. Raises NotFound."""
        parent_id = await self._store.read(partial(self._parent, parent_id))
        here = [job for job in self._scheduler.children(parent_id) if job.kind == self._jobs.name]
        await asyncio.gather(*(job.stop() for job in here))
        elsewhere = await self._store.write(partial(attached.cancel_pending, self.table, parent_id))
        return [*(job.id for job in here), *elsewhere]

    async def cancel_one(self, parent_id: str, id: str) -> None:
        """End the making of one; one that is made stays. Raises NotFound."""
        await self.get(parent_id, id)
        await self._scheduler.cancel(id, partial(attached.break_off, self.table, id, "cancelled"))

    async def delete(self, parent_id: str, id: str) -> None:
        """Remove one for good, made, being made or broken off; it can be computed again. Raises NotFound."""

        def is_kept(session: Session) -> bool:
            own = self._parent(parent_id, session)
            return _well_formed(id) and attached.is_kept(self.table, own, id, session)

        if not await self._store.read(is_kept):
            raise self._unknown(id)
        await self._scheduler.remove(id, lambda _, session: attached.remove(self.table, id, session))

    # The end

    def stop_streams(self) -> None:
        """End the streams, and with them whoever waits; what is being made goes on."""
        self._streams.stop()

    async def close(self) -> None:
        """End the streams."""
        self.stop_streams()


def _progress_of(row: AttachedRow) -> Progress:
    if row.leased_by is None:
        return Progress(stage="waiting", message=f"This waits for a server that holds the pair {row.pair}.")
    return Progress(stage="queued", message="Another server works on this.")


def _lost(id: str, cursor: int, error: str | None) -> Event:
    """The last that a watcher is told of one that is gone, or that cannot be read."""
    status: Literal["failed", "cancelled"] = "cancelled" if error is None else "failed"
    return Event(cursor + 1, "failed", NotMade(id=id, status=status, error=error))


def _well_formed(id: str) -> bool:
    return id.isascii() and id.isalnum()
