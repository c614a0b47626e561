"""The scheduler: jobs of every kind, in the order they were asked for, some at a time, to an end that is kept."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from server.errors import Busy, NlaError, StoreUnavailable, Unreadable
from server.jobs.clients import current_client, working_for
from server.jobs.job import Job, JobKind
from server.jobs.job_queue import JobQueue
from server.jobs.lease_keeper import RENEWAL, LeaseKeeper
from server.pairs.model_pool import ModelPool
from server.store.database import Store
from server.store.leases import Taken

T = TypeVar("T")
Kind = JobKind[Any, Any]
CALLS = 8
"""Calls of the models at a time that are no jobs. The models take turns between them and jobs."""
_log = logging.getLogger(__name__)


class Scheduler:
    """The jobs of this server. A job is here from when it is asked for to its end. `client_share` is the share of what
    may be at work or wait of each kind that one client may have, `max_calls` bounds the calls of `call`.
    """

    def __init__(
        self, store: Store, models: ModelPool, *, client_share: float = 1.0, max_calls: int = 32
    ) -> None:
        self._store = store
        self._models = models
        self._client_share = client_share
        self._max_calls = max_calls
        self._calls = JobQueue(CALLS)
        self._callers: Counter[str] = Counter()
        self._jobs: dict[str, Job] = {}
        self._kinds: dict[str, tuple[Kind, JobQueue]] = {}
        self._deciding = asyncio.Lock()
        """Held while it is decided whether a job exists: two askers must not both begin it. Whoever
        holds it waits for the store alone, never for a model or for the end of a job.
        """
        self._submissions: set[asyncio.Task[Any]] = set()
        self._leases = LeaseKeeper(store, self._jobs, self._on_renewed)
        self._open = False
        self._looking: asyncio.Task[None] | None = None
        self._more = False
        models.listen(self._tell_loading)

    def add(self, kind: Kind) -> None:
        """Take jobs of this kind from now on."""
        queue = JobQueue(kind.slots)
        self._kinds[kind.name] = kind, queue
        kind.waiting.set_function(lambda: queue.length)

    def get(self, id: str) -> Job | None:
        """The job of this id, unless it has ended or is another server's."""
        return self._jobs.get(id)

    def children(self, parent: str) -> list[Job]:
        """The jobs that are stopped with this one."""
        return [job for job in self._jobs.values() if job.parent == parent]

    def check_room(self, kind: Kind) -> None:
        """Raise Busy when as many jobs of a kind are at work or wait as there may be, of all clients or of this one."""
        alike = [job.client for job in self._jobs.values() if job.kind == kind.name]
        self._check_room(kind.plural, len(alike), alike.count(current_client()), kind.bound)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Hold a turn for a call of the models that is no job: it is answered at once, and nothing of it is kept.
        Raises Busy as `check_room` does.
        """
        client = current_client()
        self._check_room("calls", self._callers.total(), self._callers[client], self._max_calls)
        self._callers[client] += 1
        try:
            async with self._calls.slot(lambda *_: None, client):
                yield
        finally:
            self._callers[client] -= 1
            self._callers += Counter()  # whoever has left is forgotten

    def _check_room(self, what: str, count: int, own: int, bound: int) -> None:
        if count >= bound:
            raise Busy(f"{count} {what} are at work or wait already. Try again in a while.")
        if current_client() and own >= max(1, int(self._client_share * bound)):
            raise Busy(
                f"{own} {what} of yours are at work or wait already, as many as one client may have of the {bound} "
                "that this server takes. Try again in a while."
            )

    async def submit(
        self,
        kind: Kind,
        claim: Callable[[str, Session], tuple[T, str | None]],
        repair: Callable[[str, Session], None] | None = None,
    ) -> T:
        """Decide in one transaction what is to be done, and begin the job if one is. No other asker comes in between.

        `claim` is called with the name of this server; it returns the answer, and the id of a job that is to be begun
        unless some server has it. Where what is kept of that job is damaged, `repair` makes it new; without one,
        Unreadable is raised. An asker that is cancelled meanwhile does not break it off: a job would be this server's,
        and nobody work on it.
        """
        submission = asyncio.create_task(self._submit(kind, claim, repair))
        self._submissions.add(submission)
        submission.add_done_callback(self._submissions.discard)
        return await asyncio.shield(submission)

    async def _submit(
        self,
        kind: Kind,
        claim: Callable[[str, Session], tuple[T, str | None]],
        repair: Callable[[str, Session], None] | None,
    ) -> T:
        context = copy_context()

        def known(server: str, session: Session) -> tuple[T, str | None]:
            return context.run(claim, server, session)  # in another thread it knows who asks, too

        async with self._deciding:
            answer, id = await self._leases.write(known)
            if id is not None and id not in self._jobs:
                try:
                    await self._start(kind, id)
                except Unreadable:
                    if repair is None:
                        raise
                    await self._store.write(partial(repair, id))
                    await self._start(kind, id)
        return answer

    async def cancel(self, id: str, write: Callable[[Session], object]) -> None:
        """Stop a job that is at work here; cancel any other by `write`, while nobody here can begin it: a job that was
        just taken up would stand for what is kept, and not know that it is cancelled.
        """
        async with self._deciding:
            job = self._jobs.get(id)
            if job is None:
                await self._store.write(write)
                return
        await job.stop()

    async def remove(self, id: str, write: Callable[[bool, Session], T]) -> T:
        """Stop a job and its children, and write what is left of it while nobody can begin it. `write` is told whether
        work was interrupted by this.

        Raises StoreUnavailable when the end of the job cannot be kept at the moment.
        """
        interrupted = False
        while True:
            for job in [*self.children(id), *filter(None, [self._jobs.get(id)])]:
                before = job.cancelled
                await job.stop()
                if not job.end_is_kept:
                    raise StoreUnavailable(
                        "How this analysis ended cannot be kept at the moment. Delete it in a while."
                    )
                interrupted |= job.id == id and job.stage == "cancelled" and not before
            async with self._deciding:
                if id not in self._jobs and not self.children(id):  # nobody has just asked for it again
                    return await self._store.write(partial(write, interrupted))

    def open(self) -> None:
        """Put to work whatever these pairs still owe and nobody works on, from now on and whenever there is more."""
        self._open = True
        self.look_for_work()
        self._leases.begin()

    def look_for_work(self) -> None:
        """Look in the background for what nobody works on; one task does so at a time."""
        self._more = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._take_all(), name="take-up")

    async def close(self) -> None:
        """Put everything down. What is unfinished stays so, for another server or the next start."""
        await self._leases.end()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await asyncio.gather(*self._submissions, return_exceptions=True)
        await asyncio.gather(*(job.put_down() for job in list(self._jobs.values())))
        for _, queue in self._kinds.values():
            queue.close()
        await self._leases.release()

    async def _take_all(self) -> None:
        while self._more:
            self._more = False
            try:
                for kind, _ in self._kinds.values():
                    while await self._take_one(kind):
                        pass
            except StoreUnavailable as error:
                _log.error("unfinished jobs could not be taken up: %s", error.detail)
                self._more = True
                await asyncio.sleep(RENEWAL)

    async def _take_one(self, kind: Kind) -> bool:
        async with self._deciding:  # for one at a time: whoever asks meanwhile does not wait for all of them
            stored = await self._leases.take_next(kind, self._models.names)
            if stored is not None:
                # One that is damaged is marked and logged, and the others go on.
                with suppress(Unreadable), working_for(""):
                    await self._begin(kind, stored)
        return stored is not None

    async def _start(self, kind: Kind, id: str) -> None:
        stored = await self._leases.take(kind, id)
        if stored is not None:
            await self._begin(kind, stored)

    async def _begin(self, kind: Kind, stored: Any) -> None:
        """Put to work what this server has just taken. Raises Unreadable when it is damaged; then it has failed."""
        self._leases.begin()
        try:
            job: Job = await asyncio.to_thread(kind.job, stored)  # it may have a large lens to unpack
        except Unreadable as error:
            _log.error("%s", error.detail)
            await self._store.write(partial(kind.fail, stored, error.detail))
            raise
        job.client = current_client()
        self._jobs[job.id] = job
        self._tell_outlook(job)
        job.start(self._work(kind, job), name=f"{kind.name}-{job.id}")

    def _on_renewed(self) -> None:
        if self._open and self._models.state == "ready":
            self.look_for_work()

    async def _work(self, kind: Kind, job: Job) -> None:
        queue = self._kinds[kind.name][1]
        held: Any = self._models.acquire(job.pair) if kind.holds_pair else nullcontext()
        try:
            async with (
                held as pair,
                queue.slot(partial(_tell_position, kind, job), job.client),
            ):
                with kind.running.track_inprogress():
                    await kind.run(job, pair)
        except asyncio.CancelledError:
            if not job.cancelled:
                raise
            await self._end_badly(job, "cancelled", None)
        except Taken:
            job.lost = True
        except NlaError as error:
            await self._end_badly(job, "failed", error.detail)
        except Exception as error:
            _log.exception("%s %s failed", kind.name, job.id)
            reason = f"The server failed at this ({type(error).__name__}). Its log tells more."
            await self._end_badly(job, "failed", reason)
        finally:
            if job.end_is_kept:
                self._jobs.pop(job.id, None)
            if job.lost and not job.log.closed:
                job.log.move(job.id)  # watchers go on with what the store says
            if job.log.closed:
                kind.ended(job)

    async def _end_badly(self, job: Job, status: str, error: str | None) -> None:
        if job.log.closed:
            return
        try:
            await job.break_off(status, error)
        except Taken:
            job.lost = True
        except StoreUnavailable as reason:
            _log.error("the end of job %s is kept later: %s", job.id, reason.detail)
            job.keep_end_later(self._keep_end(job))

    async def _keep_end(self, job: Job) -> None:
        """Keep an end that has been told as soon as the store takes it; till then the job stands for what is kept."""
        try:
            await job.keep_end()
        except Taken:
            _log.info("job %s is not this server's any more", job.id)
        finally:
            self._jobs.pop(job.id, None)

    def _tell_loading(self) -> None:
        for job in self._jobs.values():
            if job.stage in {"loading", "waiting"}:
                self._tell_outlook(job)

    def _tell_outlook(self, job: Job) -> None:
        stage, message = self._models.wait_status(job.pair)
        job.tell_progress(stage, message=message)


def _tell_position(kind: Kind, job: Job, ahead: int, seconds: float | None) -> None:
    before = {0: "Next in the queue", 1: f"One {kind.name} waits before this one"}
    message = before.get(ahead, f"{ahead} {kind.plural} wait before this one")
    message += "." if seconds is None else f": it begins in {_about(seconds)}, going by the last ones."
    job.tell_progress("queued", ahead=ahead, message=message)


def _about(seconds: float) -> str:
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5} seconds"
    return f"about {round(seconds / 60)} minutes"
