"""Leases of this server on its jobs, where several servers share a database."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy.orm import Session

from server.errors import StoreUnavailable
from server.jobs.job import Job, JobKind, Stored
from server.store import leases
from server.store.database import Store

T = TypeVar("T")
RENEWAL = 3.0
"""Seconds from one renewal to the next."""
LEASE = timedelta(seconds=20)
"""A server that has not renewed for so long is taken for dead, and others go on with its work."""
_log = logging.getLogger(__name__)


class LeaseKeeper:
    """The leases of this server on its jobs. `on_renewed` is called after each renewal.

    A database that is not shared has one server, by the lock on its folder: whatever was leased before is
    free, and nothing need be renewed.
    """

    def __init__(self, store: Store, jobs: Mapping[str, Job], on_renewed: Callable[[], None]) -> None:
        self._name = uuid.uuid4().hex
        self._store = store
        self._jobs = jobs
        self._on_renewed = on_renewed
        self._renewing: asyncio.Task[None] | None = None

    @property
    def _patience(self) -> timedelta:
        return LEASE if self._store.shared else timedelta(0)

    async def write(self, work: Callable[[str, Session], T]) -> T:
        """Write something that may lease rows to this server, whose name is given to `work`."""
        return await self._store.write(partial(work, self._name))

    async def take(self, kind: JobKind[Stored, Job], id: str) -> Stored | None:
        """Begin a run of this job; None if another server works on it, or it needs none."""

        def work(session: Session) -> Stored | None:
            taken = leases.take(kind.table, id, self._name, self._patience, session)
            return kind.load(id, session) if taken else None

        return await self._store.write(work)

    async def take_next(self, kind: JobKind[Stored, Job], pairs: Sequence[str]) -> Stored | None:
        """Begin a run of what has waited longest for one of these pairs; None if nothing is left that nobody
        works on.
        """

        def work(session: Session) -> Stored | None:
            id = leases.take_next(kind.table, pairs, self._name, self._patience, session)
            return None if id is None else kind.load(id, session)

        return await self._store.write(work)

    def begin(self) -> None:
        """Renew from now on."""
        if self._store.shared and self._renewing is None:
            self._renewing = asyncio.create_task(self._keep_renewing(), name="leases")

    async def end(self) -> None:
        """Renew no more."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    async def release(self) -> None:
        """Let go of everything: another server may go on with it at once."""
        try:
            await self._store.write(partial(leases.release, self._name))
        except StoreUnavailable:
            _log.exception("the leases could not be given back; they end by themselves in %s", LEASE)

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL)
            try:
                await self._renew()
                self._on_renewed()
            except Exception:  # whatever it was: without the next renewal everything would be lost
                _log.exception("the leases could not be renewed; the next try is in %s s", RENEWAL)

    async def _renew(self) -> None:
        before = list(self._jobs.values())
        ours = await self._store.write(partial(leases.renew, self._name))
        for job in before:
            if ours.get(job.id) != job.run and not job.log.closed:
                _log.info("job %s is not this server's any more", job.id)
                job.lose()
