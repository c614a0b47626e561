"""A job: work with a pair that goes on whoever watches, and whose result is kept."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from prometheus_client import Gauge
from sqlalchemy.orm import Session

from server.jobs.event_log import EventLog
from server.store.tables import JobRow

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


class Job(ABC):
    """The live state of one job: what watchers are told (`log`), and whether it is to go on.

    `pair` names the pair that it works with, `run` is the number of this run, `parent` the id of what it is stopped
    with. A kind of job keeps and tells what comes of the work in a subclass of its own.
    """

    kind: ClassVar[str]
    """The name of its kind."""

    def __init__(self, id: str, pair: str, run: int, log: EventLog, parent: str | None = None) -> None:
        self.id = id
        self.pair = pair
        self.run = run
        self.log = log
        self.parent = parent
        self.client = ""
        """The client that asked for it first, on this server; empty for what was taken up."""
        self.lost = False
        """It is not this server's any more: another works on it, or it was stopped there."""
        self._work: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    @abstractmethod
    def stage(self) -> str:
        """The stage of its progress."""

    @abstractmethod
    def tell_progress(self, stage: str, *, ahead: int | None = None, message: str | None = None) -> None:
        """Tell watchers how far it is."""

    @abstractmethod
    async def break_off(self, status: str, error: str | None) -> None:
        """Keep and tell that it failed or was cancelled. Raises StoreUnavailable when it is told but not kept: then
        `keep_end` has to be called; and Taken when the run is over.
        """

    @abstractmethod
    async def keep_end(self) -> None:
        """Keep the end as soon as the store takes it. Raises Taken when the run is over."""

    @property
    def cancelled(self) -> bool:
        """True once somebody has cancelled it (and not the server's own end)."""
        return self._stopping is not None

    @property
    def end_is_kept(self) -> bool:
        """False from when its end is told until the store has taken it."""
        return self._keeping is None

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begin the work."""
        self._work = asyncio.create_task(work, name=name)

    def keep_end_later(self, keep: Coroutine[Any, Any, None]) -> None:
        """Go on keeping the end after the work has ended."""
        self._keeping = asyncio.create_task(keep, name=f"end-{self.id}")

    def interrupt(self) -> None:
        """Cancel the work, once: a second time would cancel the keeping of its end."""
        if self._work is not None and not self._work.cancelling():
            self._work.cancel()

    def lose(self) -> None:
        """Stop, since it is not this server's any more; one that has ended is left."""
        if self._work is not None and not self.log.closed:
            self.lost = True
            self.interrupt()

    async def stop(self) -> None:
        """Cancel it and wait until its end is kept and told; what is finished of it is kept. Any number may call, and
        all wait for the same end.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name=f"stop-{self.id}")
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        assert self._work is not None, "it has been started"
        self.interrupt()
        await asyncio.wait([self._work])

    async def put_down(self) -> None:
        """Stop without an end, for another server or the next start."""
        self.interrupt()
        if self._keeping is not None:
            self._keeping.cancel()
        tasks = [task for task in (self._work, self._stopping, self._keeping) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)


Stored = TypeVar("Stored")
J = TypeVar("J", bound=Job)


class JobKind(ABC, Generic[Stored, J]):
    """A kind of jobs: where their rows are, and how one of them is worked on.

    `slots` of them run at a time; when `bound` of them are at work or wait, further ones are refused.
    """

    name: ClassVar[str]
    plural: ClassVar[str]
    table: ClassVar[type[JobRow]]
    holds_pair: ClassVar[bool] = True
    """It works with its pair, which stays resident for it. One that only asks for other jobs must not hold it: they
    would wait behind whoever waits for another pair, and that one for this.
    """
    slots: int
    bound: int
    running: Gauge
    waiting: Gauge
    """Gauges of those that run, and of those that wait for a slot."""

    @abstractmethod
    def load(self, id: str, session: Session) -> Stored:
        """Everything kept of a job of which a run begins in this transaction."""

    @abstractmethod
    def job(self, stored: Stored) -> J:
        """The job, ready to start. Raises Unreadable when what is kept is damaged. Called in a thread."""

    @abstractmethod
    def fail(self, stored: Stored, error: str, session: Session) -> None:
        """Keep that a job of which no run can begin has failed."""

    @abstractmethod
    async def run(self, job: J, pair: LoadedPair) -> None:
        """Do what is left to do of a job, to its end; `pair` is None where the kind does not hold it. Raises what the
        models raise, and Taken when the run is over.
        """

    def ended(self, job: J) -> None:
        """Count a job that has ended."""
