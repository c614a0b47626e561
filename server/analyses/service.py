"""The service of analyses: ask, watch, cancel, delete. An analysis outlives whoever asked for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import IO, NamedTuple

from sqlalchemy.orm import Session

from server.analyses import layer_group, remote, row_mapping
from server.analyses.content_id import content_id, normalised, provisional_id, short
from server.analyses.export import readings_parquet
from server.analyses.forecast import Forecast, readings_of
from server.analyses.job import AnalysisJob
from server.analyses.kind import AnalysisKind
from server.analyses.limits import check_limits
from server.analyses.pipeline import RunState, text
from server.analyses.schema import (
    Analysis,
    AnalysisRequest,
    AnalysisSummary,
    Ended,
    LayerReadings,
    ListedStatus,
    SiblingReadings,
    Snapshot,
    Token,
)
from server.analyses.word_curves import WhichLens, WhichVariant, WordCurves, follow
from server.errors import BadInput, NotFound, NotReady, StoreUnavailable, Unreadable
from server.jobs.event_log import Event, Key
from server.jobs.scheduler import Scheduler
from server.jobs.streams import Found, RemoteState, Streams
from server.metrics import Metrics
from server.nla.checkpoints.cards import Cards
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import attached, leases, repository
from server.store.database import Store
from server.store.repository import StoredAnalysis, Summary
from server.store.search import edits_with
from server.store.tables import AnalysisRow, InterventionRow, MeasurementRow

UNDO = timedelta(days=1)
"""For how long a deletion can be undone."""
AT_HAND = 4
"""Finished analyses that are kept in memory: a long one has tens of MB, most of them its lens."""
SWEEP = 3600
"""Seconds between two rounds of making deletions final."""
_log = logging.getLogger(__name__)


class Analyses:
    """All analyses of this server: those that are jobs of the scheduler, the others in the store."""

    def __init__(
        self, scheduler: Scheduler, store: Store, models: ModelPool, settings: Settings, metrics: Metrics
    ) -> None:
        self.metrics = metrics
        self._scheduler = scheduler
        self._kind = AnalysisKind(scheduler, store, models, settings, metrics)
        scheduler.add(self._kind)
        self._store = store
        self._models = models
        self._settings = settings
        self.cards = Cards(settings.pairs_file)
        self._streams = Streams(self._look, self._change_token, remote.lost)
        self._sweeper: asyncio.Task[None] | None = None
        self._at_hand: dict[str, tuple[object, Analysis]] = {}

    # Asking

    async def create(self, request: AnalysisRequest, study: str | None = None) -> tuple[Analysis, bool]:
        """The analysis of this request and whether it existed. `study` is the id of the study that asks.

        A failed or cancelled one goes on where it stopped. Raises BadInput for what this server does not
        take, NotReady when the models could not be loaded.
        """
        name = request.pair or self._models.names[0]
        await self.check_pair(name)
        await layer_group.check(self._models, name, request.also)
        check_limits(request, self._settings)
        wanted = normalised(request, name)
        if self._models.is_resident(name):
            with self._models.borrow(name) as pair:
                prompt = await self._kind.encode(request, pair)
                where = content_id(name, pair.fingerprint, prompt.ids, wanted)
                row = row_mapping.new_row(short(where), where, pair.fingerprint, wanted)
                row.text_id = await self._kind.text_id(wanted, prompt)
        else:
            row = row_mapping.new_row(provisional_id(wanted), None, None, wanted)
        row.study_id = study
        id, existed = await self._find_or_start(row)
        if existed and wanted.also:
            await self._kind.add_layers(id, wanted.also)
        self.metrics.asked.labels(existed=str(existed).lower()).inc()
        return await self.get(id), existed

    async def forecast(self, request: AnalysisRequest) -> Forecast:
        """Count the tokens, readings and seconds of a request; nothing is begun. Raises as `create`, and NotReady while
        the pair is not in memory.
        """
        name = request.pair or self._models.names[0]
        await self.check_pair(name)
        check_limits(request, self._settings)
        if not self._models.is_resident(name):
            raise NotReady(f"{name} is not in memory yet: how long a text is shows when it is.")
        with self._models.borrow(name) as pair:
            tokens = len((await self._kind.encode(request, pair)).ids)
            limit = min(self._settings.max_prompt_tokens, pair.target.max_tokens)
        readings = readings_of(request, tokens)
        seconds = self._kind.paces.seconds(name, readings)
        return Forecast(pair=name, tokens=tokens, limit=limit, readings=readings, seconds=seconds)

    async def text(self, request: AnalysisRequest) -> list[Token]:
        """The tokens that an analysis of this request will have, its reply among them, without norms and flags. Nothing
        of it is kept. Raises as `create`; waits for the pair.
        """
        name = request.pair or self._models.names[0]
        await self.check_pair(name)
        check_limits(request, self._settings)
        async with self._models.acquire(name) as pair:
            return await text(pair, RunState(request, await self._kind.encode(request, pair)))

    async def _find_or_start(self, new: AnalysisRow) -> tuple[str, bool]:
        """Returns the id, and whether it existed. Raises Busy for a new one when the queue is full."""
        repaired = False

        def claim(server: str, session: Session) -> tuple[AnalysisRow | None, str | None]:
            found = leases.claim(new, session)
            if found is None:
                self._scheduler.check_room(self._kind)
                leases.add(new, server, session)
                return None, new.id
            return found, None if found.status == "done" else found.id

        def start_over(id: str, session: Session) -> None:
            nonlocal repaired
            repaired = True
            repository.start_over(id, new.request, session)

        found = await self._scheduler.submit(self._kind, claim, start_over)
        return (new if found is None else found).id, found is not None and not repaired

    async def check_pair(self, name: str) -> None:
        """Raise BadInput for a pair that this server does not have."""
        if name in self._models.names:
            return
        held = f"This server has {' and '.join(self._models.names)}."
        if name not in await asyncio.to_thread(self._models.source.names):
            raise BadInput("pair", f"There is no pair named {name!r}. {held}")
        cure = f"For {name}, name it in NLA_EXTRA_PAIRS, or start a server with --pair {name}."
        raise BadInput("pair", f"{held} {cure}")

    # Looking

    async def check(self, analysis_id: str) -> str:
        """The id under which an analysis really stands. Raises NotFound."""
        if self._scheduler.get(analysis_id) is not None:
            return analysis_id
        return (await self._store.read(partial(row_of, analysis_id))).id

    async def get(self, analysis_id: str) -> Analysis:
        """The analysis as it stands. Raises NotFound."""
        if job := self._job(analysis_id):
            analysis, same_text = job.view(), await self._same_text(job.text_id)
        else:
            standing = await self._store.read(partial(_standing, analysis_id))
            job = self._job(standing.id)  # as another one, or just taken up
            analysis, same_text = job.view() if job else await self._kept(standing), standing.same_text
        siblings = layer_group.named(same_text, analysis.pair)
        card = self.cards.get(analysis.pair)
        return analysis.model_copy(update={"card": card and card.brief, "siblings": siblings})

    async def _same_text(self, text_id: str | None) -> Sequence[AnalysisRow]:
        return () if text_id is None else await self._store.read(partial(repository.same_text, text_id))

    async def _kept(self, standing: _Standing) -> Analysis:
        """An analysis that no job of this server works on, as it is kept. The last few that are done stay at hand for
        as long as nothing new is kept of them: every press of a token asks for the whole.
        """
        before, analysis = self._at_hand.pop(standing.id, (None, None))
        # The change token is older than what is read here: what comes in between is news.
        if analysis is None or before != standing.change_token:
            whole = await self._whole(standing.id)
            analysis = await asyncio.to_thread(row_mapping.analysis_of, whole, remote.progress_of(whole))
        if analysis.status == "done":
            self._at_hand[standing.id] = standing.change_token, analysis
            while len(self._at_hand) > AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        return analysis

    async def layer_readings(self, analysis: Analysis, position: int) -> list[LayerReadings]:
        """Return the siblings' readings at a position, without those whose reply has come out otherwise."""
        if not analysis.siblings:
            return []
        return await self._store.read(partial(layer_group.layer_readings, analysis, position))

    async def sibling_readings(self, analysis: Analysis) -> list[SiblingReadings]:
        """All that its siblings have read so far."""
        if not analysis.siblings:
            return []
        return await self._store.read(partial(layer_group.readings, analysis))

    async def parquet(self, analysis_id: str) -> tuple[Analysis, IO[bytes]]:
        """The analysis, and a file of its readings with their vectors. Raises NotFound."""
        analysis = await self.get(analysis_id)
        return analysis, await self._store.read(partial(readings_parquet, analysis))

    def _job(self, analysis_id: str) -> AnalysisJob | None:
        job = self._scheduler.get(analysis_id)
        return job if isinstance(job, AnalysisJob) else None

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
        """Measure how likely each layer finds some words after `position`. Raises as `follow` does, and NotReady."""
        analysis = await self.get(analysis_id)
        async with self._scheduler.call():
            with self._models.borrow() as pair:
                return await follow(pair, analysis, position, words, lens, variant)

    async def recent(
        self,
        limit: int = 50,
        q: str | None = None,
        pair: str | None = None,
        status: ListedStatus | None = None,
        before: str | None = None,
        *,
        studies: bool = True,
    ) -> list[AnalysisSummary]:
        """The newest analyses, or those after the one of the id `before`.

        With `q`, those that hold all its words in prompt, reply, readings or edits; with `pair` and `status`, those
        alone; without `studies`, none that a study began. Raises BadInput for an id that is none.
        """
        place = None
        if before is not None:
            place = await self._store.read(partial(repository.place, before))
            if place is None:
                raise BadInput("before", f"There is no analysis {before!r} any more: begin at the newest.")
        work = partial(repository.recent, limit, q, pair=pair, status=status, before=place, studies=studies)
        return await self._store.read(lambda session: _found(work(session), q, session))

    async def summary(self, analysis_id: str) -> AnalysisSummary | None:
        """One line of the library, also of an analysis that is deleted; None if nothing is left of it."""
        if not _well_formed(analysis_id):
            return None
        found = await self._store.read(partial(repository.summary, analysis_id))
        return None if found is None else row_mapping.summary_of(found)

    async def count(
        self, q: str | None, pair: str | None, status: ListedStatus | None, *, studies: bool = True
    ) -> int:
        """Count the analyses that `recent` would find, were there no limit."""
        return await self._store.read(partial(repository.count, q, pair, status, studies=studies))

    async def pairs(self) -> list[str]:
        """The pairs of which there are analyses."""
        return list(await self._store.read(repository.pairs))

    async def events(self, analysis_id: str, last_event_id: int | None = None) -> AsyncGenerator[Event]:
        """Yield the events after `last_event_id`, then those that come, to the end. Raises NotFound at the first
        step.
        """
        with self.metrics.watchers.track_inprogress():
            async with aclosing(self._streams.batches(analysis_id, last_event_id or 0)) as batches:
                async for batch, _ in batches:
                    for event in batch:
                        yield event

    async def watch(self, analysis_id: str) -> AsyncGenerator[Snapshot]:
        """The analysis as it stands now and after each change, to its end; changes between two steps of the caller come
        as one. Raises NotFound at the first step.
        """
        analysis = await self.get(analysis_id)
        yield Snapshot(analysis)
        async with aclosing(self._streams.batches(analysis_id, 0)) as batches:
            async for batch, writing in batches:
                try:
                    analysis = await self.get(analysis_id)
                except (NotFound, Unreadable):
                    end = batch[-1].data
                    if not isinstance(end, Ended):
                        raise
                    analysis = analysis.model_copy(update={"status": end.status, "error": end.error})
                yield _snapshot(analysis, writing)

    async def _look(self, analysis_id: str) -> Found:
        found = await self.check(analysis_id)
        if job := self._job(found):
            return Found(found, job.log)
        change_token = await self._change_token(found)  # first: what comes then is news
        whole = await self._whole(found)
        progress = remote.progress_of(whole)
        log = await asyncio.to_thread(
            lambda: row_mapping.log_of(whole, row_mapping.analysis_of(whole, progress))
        )
        return Found(found, log, None if progress is None else RemoteState(progress, change_token))

    async def _change_token(self, analysis_id: str) -> object:
        return await self._store.read(partial(repository.change_token, analysis_id))

    def pin(self, analysis_id: str, position: int) -> None:
        """Somebody looks at this position: it is read next, and its words are told as they come."""
        if job := self._job(analysis_id):
            job.pins.pin(position)

    # Changing

    async def cancel(self, analysis_id: str) -> Analysis:
        """Stop it; what is finished stays. One that has ended already is left as it is."""
        analysis = await self.get(analysis_id)
        await self._scheduler.cancel(analysis.id, partial(leases.cancel, analysis.id))
        return await self.get(analysis.id)

    async def delete(self, analysis_id: str) -> str:
        """Remove it; for the time of UNDO it can be restored, then all that belongs to it goes. Returns the
        id. Raises NotFound.
        """
        found = await self.check(analysis_id)

        def write(interrupted: bool, session: Session) -> None:
            if repository.get(found, session) is None:
                raise _not_found(analysis_id)
            values: dict[str, object] = {"deleted": repository.now()}
            if interrupted:
                values["status"] = "queued"  # nobody cancelled it: restored, it goes on
            leases.cancel_run(found, values, session)
            for table in (InterventionRow, MeasurementRow):
                attached.cancel_pending(table, found, session)

        await self._scheduler.remove(found, write)
        return found

    async def restore(self, analysis_id: str) -> str:
        """Undo a deletion; work that it interrupted goes on. Returns the id. Raises NotFound."""

        def claim(server: str, session: Session) -> tuple[str, str | None]:
            row = repository.restore(analysis_id, session)
            if row is None:
                raise NotFound(f"Of the analysis {analysis_id!r} nothing is left to restore.")
            ours = row.pair in self._models.names and row.status in repository.UNFINISHED
            return row.id, row.id if ours else None

        return await self._scheduler.submit(self._kind, claim)

    # Beginning and end

    def open(self) -> None:
        """Make deletions final in the background from now on."""
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep-deleted")

    def stop_streams(self) -> None:
        """End every event stream, so that the server can end; watchers come back with their last id."""
        self._streams.stop()

    async def close(self) -> None:
        """End the streams."""
        self.stop_streams()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

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


def _not_found(analysis_id: str) -> NotFound:
    return NotFound(f"There is no analysis {analysis_id!r}: deleted, or not a whole address.")


class _Standing(NamedTuple):
    """An analysis in the store: its id, a token that changes with whatever is kept of it, the rows of its text."""

    id: str
    change_token: object
    same_text: Sequence[AnalysisRow]


def _standing(analysis_id: str, session: Session) -> _Standing:
    """Look an analysis up, in one read: every press of a token asks. Raises NotFound."""
    row = row_of(analysis_id, session)
    same_text = repository.same_text(row.text_id, session) if row.text_id is not None else ()
    return _Standing(row.id, repository.change_token(row.id, session), same_text)


def row_of(analysis_id: str, session: Session) -> AnalysisRow:
    """The row of an analysis. Raises NotFound."""
    row = repository.get(analysis_id, session) if _well_formed(analysis_id) else None
    if row is None:
        raise _not_found(analysis_id)
    return row


def _well_formed(analysis_id: str) -> bool:
    return analysis_id.isascii() and analysis_id.isalnum()
