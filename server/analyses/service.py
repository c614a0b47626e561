"""Ask, watch, cancel, reuse: what the web side calls. An analysis outlives whoever asked for it."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from functools import partial
from typing import IO

from sqlalchemy.orm import Session

from server.analyses import layer_group, remote, row_mapping
from server.analyses.content_id import address, normalised, short, unread
from server.analyses.event_log import EventLog, Key
from server.analyses.export import readings_parquet
from server.analyses.limits import check_limits
from server.analyses.remote import RemoteState
from server.analyses.scheduler import Scheduler
from server.analyses.schema import (
    FINAL,
    Analysis,
    AnalysisRequest,
    AnalysisSummary,
    Ended,
    Event,
    LayerReadings,
    ListedStatus,
    SiblingReadings,
    Snapshot,
)
from server.analyses.word_curves import WhichLens, WhichVariant, WordCurves, follow
from server.errors import BadInput, NotFound, StoreUnavailable, Unreadable
from server.metrics import Metrics
from server.nla.checkpoints.card import cards
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import leases, repository
from server.store.database import Store
from server.store.repository import StoredAnalysis, Summary
from server.store.search import edits_with
from server.store.tables import AnalysisRow, InterventionRow

BREATH = 1 / 15
"""Seconds between two messages of a stream that carries words."""
UNDO = timedelta(days=1)
"""For how long a deletion can be undone."""
SWEEP = 3600
"""Seconds between two rounds of making deletions final."""
_log = logging.getLogger(__name__)


class Analyses:
    """All analyses of this server: those that are jobs of the scheduler, the others in the store."""

    def __init__(
        self, store: Store, models: ModelPool, settings: Settings, metrics: Metrics | None = None
    ) -> None:
        self.metrics = metrics or Metrics()
        self._store = store
        self._models = models
        self._settings = settings
        self._cards = cards(settings.pairs_file)
        self._scheduler = Scheduler(store, models, settings, self.metrics)
        self._before_delete: list[Callable[[str], Awaitable[object]]] = []
        self._watched: weakref.WeakSet[EventLog] = weakref.WeakSet()
        self._stopping = False
        self._sweeper: asyncio.Task[None] | None = None

    # Asking

    async def create(self, request: AnalysisRequest) -> tuple[Analysis, bool]:
        """The analysis of this request and whether it existed.

        A failed or cancelled one goes on where it stopped. Raises BadInput for what this server does not
        take, NotReady when the models could not be loaded.
        """
        name = request.pair or self._models.names[0]
        await self._check_pair(name)
        await layer_group.check(self._models, name, request.also)
        check_limits(request, self._settings)
        wanted = normalised(request, name)
        if self._models.is_resident(name):
            with self._models.borrow(name) as pair:
                prompt = await self._scheduler.encode(request, pair)
                where = address(name, pair.fingerprint, prompt.ids, wanted)
                row = row_mapping.new_row(short(where), where, pair.fingerprint, wanted)
                row.kin = await self._scheduler.kin(wanted, prompt)
        else:
            row = row_mapping.new_row(unread(wanted), None, None, wanted)
        async with self._scheduler.asking:
            analysis, existed = await self._find_or_start(row)
        if existed and wanted.also:
            await self._scheduler.relate(analysis.id, wanted.also)
            analysis = await self.get(analysis.id)
        self.metrics.asked.labels(existed=str(existed).lower()).inc()
        return analysis, existed

    async def _find_or_start(self, new: AnalysisRow) -> tuple[Analysis, bool]:
        row = await self._scheduler.claim_or_add(new)
        standing = new if row is None else row
        try:
            return await self._started(standing.id, standing.status), row is not None
        except Unreadable:
            await self._store.write(partial(repository.start_over, standing.id, new.request))
            return await self._started(standing.id, "queued"), False

    async def _started(self, analysis_id: str, status: str) -> Analysis:
        if analysis_id not in self._scheduler.jobs and status != "done":
            await self._scheduler.start(analysis_id)
        return await self.get(analysis_id)

    async def _check_pair(self, name: str) -> None:
        if name in self._models.names:
            return
        held = f"This server has {' and '.join(self._models.names)}."
        if name not in await asyncio.to_thread(self._models.source.names):
            raise BadInput("pair", f"There is no pair named {name!r}. {held}")
        cure = f"For {name}, name it in NLA_ALSO, or start a server with --pair {name}."
        raise BadInput("pair", f"{held} {cure}")

    # Looking

    async def check(self, analysis_id: str) -> str:
        """The id under which an analysis really stands. Raises NotFound."""
        if analysis_id in self._scheduler.jobs:
            return analysis_id
        row = None
        if _well_formed(analysis_id):
            row = await self._store.read(partial(repository.get, analysis_id))
        if row is None:
            raise NotFound(f"There is no analysis {analysis_id!r}: deleted, or not a whole address.")
        return row.id

    async def get(self, analysis_id: str) -> Analysis:
        """The analysis as it stands. Raises NotFound."""
        found = await self.check(analysis_id)
        if job := self._scheduler.jobs.get(found):
            analysis, kin = job.view(), job.kin
        else:
            whole = await self._whole(found)
            analysis = await asyncio.to_thread(row_mapping.analysis_of, whole, remote.progress_of(whole))
            kin = whole.row.kin
        known: dict[str, object] = {"card": self._cards.get(analysis.pair)}
        if kin is not None:
            rows = await self._store.read(partial(repository.kindred, kin))
            known["siblings"] = layer_group.named(rows, analysis.pair)
        return analysis.model_copy(update=known)

    async def beside(self, analysis: Analysis, position: int) -> list[LayerReadings]:
        """What its siblings read at a position. One whose reply has come out otherwise is left out there."""
        if not analysis.siblings:
            return []
        return await self._store.read(partial(layer_group.beside, analysis, position))

    async def sibling_readings(self, analysis: Analysis) -> list[SiblingReadings]:
        """All that its siblings have read so far."""
        if not analysis.siblings:
            return []
        return await self._store.read(partial(layer_group.readings, analysis))

    async def parquet(self, analysis_id: str) -> tuple[Analysis, IO[bytes]]:
        """The analysis, and a file of its readings with their vectors. Raises NotFound."""
        analysis = await self.get(analysis_id)
        return analysis, await self._store.read(partial(readings_parquet, analysis))

    async def _whole(self, analysis_id: str) -> StoredAnalysis:
        whole = await self._store.read(partial(repository.whole, analysis_id))
        if whole is None:
            raise NotFound(f"Analysis {analysis_id!r} has just been deleted.")
        return whole

    async def words(
        self,
        analysis_id: str,
        position: int,
        words: Sequence[str],
        lens: WhichLens = "plain",
        variant: WhichVariant = "exact",
    ) -> WordCurves:
        """How likely each layer finds some words after `position`. Raises as `follow` does, and NotReady."""
        analysis = await self.get(analysis_id)
        with self._models.borrow() as pair:
            return await follow(pair, analysis, position, words, lens, variant)

    async def recent(
        self,
        limit: int = 50,
        q: str | None = None,
        pair: str | None = None,
        status: ListedStatus | None = None,
        before: str | None = None,
    ) -> list[AnalysisSummary]:
        """The newest analyses, or those after the one of the id `before`.

        With `q`, those that hold all its words in prompt, reply, readings or edits; with `pair` and `status`, those
        alone. Raises BadInput for an id that is none.
        """
        place = None
        if before is not None:
            place = await self._store.read(partial(repository.place, before))
            if place is None:
                raise BadInput("before", f"There is no analysis {before!r} any more: begin at the newest.")
        work = partial(repository.recent, limit, q, pair=pair, status=status, before=place)
        return await self._store.read(lambda session: _found(work(session), q, session))

    async def summary(self, analysis_id: str) -> AnalysisSummary | None:
        """One line of the library, also of an analysis that is deleted; None if nothing is left of it."""
        if not _well_formed(analysis_id):
            return None
        found = await self._store.read(partial(repository.summary, analysis_id))
        return None if found is None else row_mapping.summary_of(found)

    async def count(self, q: str | None, pair: str | None, status: ListedStatus | None) -> int:
        """How many analyses `recent` would find, were there no limit."""
        return await self._store.read(partial(repository.count, q, pair, status))

    async def pairs(self) -> list[str]:
        """The pairs of which there are analyses."""
        return list(await self._store.read(repository.pairs))

    async def events(self, analysis_id: str, last_event_id: int | None = None) -> AsyncGenerator[Event]:
        """What is newer than `last_event_id`, then whatever comes, to the end. Raises NotFound at the first
        step.
        """
        async with aclosing(self._batches(analysis_id, last_event_id or 0)) as batches:
            async for batch, _ in batches:
                for event in batch:
                    yield event

    async def watch(self, analysis_id: str) -> AsyncGenerator[Snapshot]:
        """The analysis as it stands now and after each change, to its end; changes between two steps of the caller come
        as one. Raises NotFound at the first step.
        """
        analysis = await self.get(analysis_id)
        yield Snapshot(analysis)
        async with aclosing(self._batches(analysis_id, 0)) as batches:
            async for batch, writing in batches:
                try:
                    analysis = await self.get(analysis_id)
                except (NotFound, Unreadable):
                    end = batch[-1].data
                    if not isinstance(end, Ended):
                        raise
                    analysis = analysis.model_copy(update={"status": end.status, "error": end.error})
                yield _snapshot(analysis, writing)

    async def _batches(
        self, analysis_id: str, cursor: int
    ) -> AsyncGenerator[tuple[list[Event], Mapping[Key, str]]]:
        """What is newer than `cursor` at each step, and the texts that are being written."""
        try:
            standing, log, away = await self._look(analysis_id)
        except Unreadable as error:
            yield [remote.unreadable(analysis_id, cursor, error.detail)], {}
            return
        with self.metrics.watchers.track_inprogress():
            while True:
                self._watched.add(log)
                news = log.news()
                batch = log.since(cursor)
                if batch:
                    cursor = batch[-1].id
                    yield batch, log.writing()
                if self._stopping:
                    return
                if any(event.kind == "delta" for event in batch):
                    await asyncio.sleep(BREATH)
                if batch:
                    continue  # there may be more: the watcher may have taken its time
                if log.closed:
                    return
                if away is not None:
                    yield [Event(cursor, "progress", away.progress)], {}
                    await self._news_of(standing, away, news)
                elif log.moved_to is None:
                    await news.wait()
                    continue
                try:
                    found, log, away = await self._look(log.moved_to or standing)
                except NotFound:  # deleted elsewhere
                    yield [remote.deleted(standing, cursor)], {}
                    return
                if found != standing:
                    standing, cursor = found, 0

    async def _look(self, analysis_id: str) -> tuple[str, EventLog, RemoteState | None]:
        """The id, the log, and how it stands elsewhere if the log is but a picture of what is kept."""
        found = await self.check(analysis_id)
        if job := self._scheduler.jobs.get(found):
            return found, job.log, None
        change_token = await self._store.read(
            partial(repository.change_token, found)
        )  # first: what comes then is news
        whole = await self._whole(found)
        progress = remote.progress_of(whole)
        log = await asyncio.to_thread(
            lambda: row_mapping.log_of(whole, row_mapping.analysis_of(whole, progress))
        )
        return found, log, None if progress is None else RemoteState(progress, change_token)

    async def _news_of(self, analysis_id: str, away: RemoteState, stop: asyncio.Event) -> None:
        """Wait until something new is kept of an analysis that is worked on elsewhere, or for `stop`."""
        look = partial(repository.change_token, analysis_id)
        while not stop.is_set() and await self._store.read(look) == away.change_token:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), remote.POLL)

    def pin(self, analysis_id: str, position: int) -> None:
        """Somebody looks at this position: it is read next, and its words are told as they come."""
        if job := self._scheduler.jobs.get(analysis_id):
            job.pins.pin(position)

    # Changing

    async def cancel(self, analysis_id: str) -> Analysis:
        """Stop it; what is finished stays. One that has ended already is left as it is."""
        analysis = await self.get(analysis_id)
        if job := self._scheduler.jobs.get(analysis.id):
            await self._scheduler.stop(job)
        elif analysis.status not in FINAL:
            await self._store.write(partial(leases.cancel, analysis.id))
        return await self.get(analysis.id)

    async def delete(self, analysis_id: str) -> str:
        """Remove it; for the time of UNDO it can be restored, then all that belongs to it goes. Returns the
        id. Raises NotFound.
        """
        found = await self.check(analysis_id)
        for put_down in self._before_delete:
            await put_down(found)
        values: dict[str, object] = {"deleted": repository.now()}
        while True:
            if job := self._scheduler.jobs.get(found):
                cancelled = job.stopping is not None
                await self._scheduler.stop(job)
                if job.keeping is not None:
                    raise StoreUnavailable(
                        "How this analysis ended cannot be kept at the moment. Delete it in a while."
                    )
                if job.analysis.status == "cancelled" and not cancelled:
                    values["status"] = "queued"  # nobody cancelled it: restored, it goes on
            async with self._scheduler.asking:
                if found in self._scheduler.jobs:
                    continue  # somebody has just asked for it again
                await self.check(found)
                await self._store.write(partial(leases.cancel_run, found, values))
                return found

    async def restore(self, analysis_id: str) -> str:
        """Undo a deletion; work that it interrupted goes on. Returns the id. Raises NotFound."""
        async with self._scheduler.asking:
            row = await self._store.write(partial(repository.restore, analysis_id))
            if row is None:
                raise NotFound(f"Of the analysis {analysis_id!r} nothing is left to restore.")
            ours = row.pair in self._models.names and row.id not in self._scheduler.jobs
            if ours and row.status in repository.UNFINISHED:
                await self._scheduler.start(row.id)
            return row.id

    def before_delete(self, put_down: Callable[[str], Awaitable[object]]) -> None:
        """Call this with the id of an analysis that is about to be deleted: to end what is being made of it."""
        self._before_delete.append(put_down)

    # Beginning and end

    def resume(self) -> None:
        """Take up in the background what an earlier server left unfinished for these pairs."""
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep-deleted")
        self._scheduler.open()

    def stop_streams(self) -> None:
        """End every event stream, so that the server can end; watchers come back with their last id."""
        self._stopping = True
        for log in list(self._watched):
            log.wake()

    async def close(self) -> None:
        """Put everything down; what is unfinished is taken up at the next start."""
        self.stop_streams()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._scheduler.close()

    async def _sweep(self) -> None:
        """Make deletions final once they can no longer be undone."""
        while True:
            try:
                await self._store.write(partial(repository.purge, repository.now() - UNDO))
            except StoreUnavailable:
                _log.exception("what was deleted could not be removed; the next try is in an hour")
            await asyncio.sleep(SWEEP)


def _found(summaries: Sequence[Summary], query: str | None, session: Session) -> list[AnalysisSummary]:
    """Lines of the library, each with the edits by which the query finds it."""
    edits: dict[str, list[InterventionRow]] = {}
    for row in edits_with(query or "", [summary.id for summary in summaries], session):
        edits.setdefault(row.analysis_id, []).append(row)
    return [row_mapping.summary_of(summary, edits.get(summary.id, ())) for summary in summaries]


def _snapshot(analysis: Analysis, writing: Mapping[Key, str]) -> Snapshot:
    """A text that is written again takes the place of the reading that failed; one that is finished is no
    longer written.
    """
    again = {(r.position, r.sample) for r in analysis.readings if r.error} & writing.keys()
    kept = [r for r in analysis.readings if (r.position, r.sample) not in again]
    finished = {(r.position, r.sample) for r in kept}
    texts = {key: text for key, text in writing.items() if key not in finished}
    return Snapshot(analysis.model_copy(update={"readings": kept}) if again else analysis, texts)


def _well_formed(analysis_id: str) -> bool:
    return analysis_id.isascii() and analysis_id.isalnum()
