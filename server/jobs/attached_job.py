"""One job that belongs to something and comes to one document, and its kind."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from sqlalchemy.orm import Session

from server.errors import NlaError, StoreUnavailable
from server.jobs.event_log import EventLog
from server.jobs.job import Job, JobKind, Stored
from server.jobs.progress import Progress
from server.schema import ResponseModel
from server.store import attached, leases, repository
from server.store.database import Store
from server.store.tables import AttachedRow

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

Row = TypeVar("Row", bound=AttachedRow)
AnyJob = TypeVar("AnyJob", bound="AttachedJob[Any]")
REMEMBERED = 64
"""Ends that are not kept in the store and are remembered for those who ask just afterwards."""


class NotMade(ResponseModel):
    """The last event of a job that was not made. `field` names the field of the request that is at fault."""

    id: str
    status: Literal["failed", "cancelled"]
    error: str | None = None
    field: str | None = None


class AttachedJob(Job, Generic[Row]):
    """The live state of one of them. Its events: progress, then done (the document) or failed (NotMade)."""

    def __init__(self, row: Row, store: Store) -> None:
        super().__init__(row.id, row.pair, row.run_number, EventLog(row.run_number), row.parent_id)
        self.row = row
        self.progress = Progress(stage="queued")
        self.failure: Exception | None = None
        """Why it was not made, for those who wait for it."""
        self.kept = False
        """The document is in the store."""
        self._store = store
        self._end: Callable[[Session], None] | None = None

    @property
    def stage(self) -> str:
        """The stage of its progress."""
        return self.progress.stage

    def tell_progress(self, stage: str, *, ahead: int | None = None, message: str | None = None) -> None:
        """Tell watchers how far it is."""
        self.tell(Progress(stage=stage, ahead=ahead, message=message))

    def tell(self, progress: Progress) -> None:
        """Tell watchers its progress."""
        self.progress = progress
        self.log.put("progress", progress)

    async def finish(self, made: ResponseModel, *, keep: bool = True) -> None:
        """Keep the document as soon as the store takes it, and tell it; or tell it to those who wait alone, and keep
        nothing, so that whoever asks again has it made anew. Raises Taken when the run is over.
        """
        values = {
            "status": "done",
            "result": await asyncio.to_thread(made.model_dump_json, ensure_ascii=True),
            "finished": repository.now(),
            "leased_by": None,
        }
        remove = partial(attached.remove, type(self.row), self.id)
        self._end = self._fenced(partial(self._keep_made, values) if keep else remove)
        await self.keep_end()
        self.kept = keep
        self.tell(Progress(stage="done"))
        self.log.put("done", made)

    async def break_off(self, status: str, error: str | None) -> None:
        """Tell that it failed or was cancelled; whoever asks again goes on with what is finished of it. Raises
        StoreUnavailable when it is told but not kept, and Taken when the run is over.
        """
        told: Literal["failed", "cancelled"] = "cancelled" if status == "cancelled" else "failed"
        self._end = self._fenced(partial(attached.break_off, type(self.row), self.id, told))
        unavailable: StoreUnavailable | None = None
        try:
            await self._store.write(self._end)
        except StoreUnavailable as reason:
            unavailable = reason
        self.progress = Progress(stage=told)
        field = self.failure.field if isinstance(self.failure, NlaError) else None
        self.log.put("failed", NotMade(id=self.id, status=told, error=error, field=field))
        if unavailable is not None:
            raise unavailable

    async def keep_end(self) -> None:
        """Keep the end as soon as the store takes it. Raises Taken when the run is over."""
        assert self._end is not None, "it has ended"

        def failed(error: StoreUnavailable) -> None:
            if not self.log.closed:
                self.tell_progress(self.stage, message=error.detail)

        await self._store.write_until_kept(self._end, failed)

    def _keep_made(self, values: Mapping[str, Any], session: Session) -> None:
        attached.change(type(self.row), self.id, values, session)

    def _fenced(self, work: Callable[[Session], None]) -> Callable[[Session], None]:
        def fenced(session: Session) -> None:
            leases.fence(type(self.row), self.id, self.run, session)
            work(session)

        return fenced


@dataclass(frozen=True)
class UnkeptEnd:
    """The end of a job of which the store keeps nothing: what was told of it, and why it was not made."""

    log: EventLog
    failure: Exception | None


class AttachedKind(JobKind[Stored, AnyJob]):
    """A kind of such jobs."""

    def __init__(self) -> None:
        self._unkept: OrderedDict[str, UnkeptEnd] = OrderedDict()

    @abstractmethod
    async def make(self, job: AnyJob, pair: LoadedPair) -> ResponseModel:
        """The document. Raises what the models raise, and Taken when the run is over."""

    def keeps(self, made: ResponseModel) -> bool:
        """Return whether a document is kept; else it is told, and made anew for whoever asks again."""
        return True

    async def run(self, job: AnyJob, pair: LoadedPair) -> None:
        """Make the document, and keep it."""
        try:
            made = await self.make(job, pair)
            await job.finish(made, keep=self.keeps(made))
        except Exception as error:
            job.failure = error
            raise

    def ended(self, job: AnyJob) -> None:
        """Remember how a job ended, since the store may keep nothing of it, and a short one may end before whoever
        asked for it begins to wait.
        """
        if job.kept:
            return
        self._unkept[job.id] = UnkeptEnd(job.log, job.failure)
        self._unkept.move_to_end(job.id)
        if len(self._unkept) > REMEMBERED:
            self._unkept.popitem(last=False)

    def unkept_end(self, id: str) -> UnkeptEnd | None:
        """The end of the last run of a job here, if it is among the last ones."""
        return self._unkept.get(id)
