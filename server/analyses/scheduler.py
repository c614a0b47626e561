"""Where analyses are worked on: in the order they were asked for, some at a time, to an end that is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from server.analyses import layer_group, row_mapping
from server.analyses.content_id import address, kinship
from server.analyses.estimate import SHARE, Estimate
from server.analyses.job import Job
from server.analyses.lease_keeper import RENEWAL, LeaseKeeper
from server.analyses.limits import check_prompt
from server.analyses.pipeline import Prompt, encode
from server.analyses.schema import AnalysisRequest, Status
from server.errors import NlaError, StoreUnavailable, Unreadable
from server.jobs.job_queue import JobQueue
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import leases, repository
from server.store.database import Store, until_available
from server.store.leases import Taken
from server.store.repository import StoredAnalysis
from server.store.tables import AnalysisRow

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

_log = logging.getLogger(__name__)


class Scheduler:
    """The jobs of this server. An analysis is here from when it is asked for to its end."""

    def __init__(self, store: Store, models: ModelPool, settings: Settings, metrics: Metrics) -> None:
        self.jobs: dict[str, Job] = {}
        self.asking = asyncio.Lock()
        """Held while it is decided whether an analysis exists: two askers must not both begin it. Whoever
        holds it waits for the store alone, never for a model or for the end of a job.
        """
        self._store = store
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._leases = LeaseKeeper(store, self.jobs, self._on_renewed)
        self._shares: dict[str, float] = {}
        """The AR's part of the time of each pair's readings, for the next estimate."""
        self._open = False
        self._taking_up: asyncio.Task[None] | None = None
        self._more = False
        self._queue = JobQueue(settings.running)
        self._tokenising = asyncio.Lock()
        metrics.waiting.set_function(lambda: self._queue.length)
        models.listen(self._tell_loading)

    async def encode(self, request: AnalysisRequest, pair: LoadedPair) -> Prompt:
        """The prompt as the model sees it. Raises BadInput when it cannot be one, or is too long."""
        async with self._tokenising:  # a tokenizer is not made for two threads
            prompt = await asyncio.to_thread(encode, pair.prompter, request)
        check_prompt(request, len(prompt.ids), pair, self._settings)
        return prompt

    async def kin(self, request: AnalysisRequest, prompt: Prompt) -> str:
        """What this analysis will have in common with those by other pairs. `request` is normalised."""
        return kinship((await self._models.layer_key(request.pair or "")).target, prompt.ids, request)

    async def relate(self, analysis_id: str, also: Sequence[str]) -> None:
        """Have further pairs read what an analysis reads; in its forward pass, unless that has been. The
        caller does not hold `asking`.
        """
        job = self.jobs.get(analysis_id)
        if not also or (job is not None and await job.widen(also)):
            return
        row = await self._store.read(partial(repository.get, analysis_id))
        if row is None or row.kin is None:
            return
        ids = {"prompt_ids": row.prompt_ids, "generated_ids": row.generated_ids}
        analysis = row_mapping.analysis_of(StoredAnalysis(row, (), None))
        for pair in also:
            sibling = layer_group.row(analysis, pair, row.kin, ids)
            await self._store.write(partial(leases.add_sibling, sibling, None))
        self._take_up()

    async def claim_or_add(self, new: AnalysisRow) -> AnalysisRow | None:
        """What stands there already; else None, and the new analysis is kept, to be started here."""
        return await self._leases.claim_or_add(new)

    async def start(self, analysis_id: str) -> Job | None:
        """Put an unfinished analysis to work, unless another server has it. The caller holds `asking`."""
        whole = await self._leases.take(analysis_id)
        return None if whole is None else await self._begin(whole)

    def open(self) -> None:
        """Put to work whatever these pairs still owe and nobody works on, from now on and whenever there is more."""
        self._open = True
        self._take_up()
        self._leases.begin()

    def _take_up(self) -> None:
        """Look in the background for what nobody works on; one task does so at a time."""
        self._more = True
        if self._taking_up is None or self._taking_up.done():
            self._taking_up = asyncio.create_task(self._take_all(), name="take-up")

    async def _take_all(self) -> None:
        while self._more:
            self._more = False
            try:
                while await self._take_one():
                    pass
            except StoreUnavailable as error:
                _log.error("unfinished analyses could not be taken up: %s", error.detail)
                self._more = True
                await asyncio.sleep(RENEWAL)

    async def _take_one(self) -> bool:
        async with self.asking:  # for one at a time: whoever asks meanwhile does not wait for all of them
            whole = await self._leases.take_next(self._models.names)
            if whole is not None:
                with suppress(Unreadable):  # it is marked and logged, and the others go on
                    await self._begin(whole)
        return whole is not None

    async def _begin(self, whole: StoredAnalysis) -> Job:
        """Put to work what this server has just taken. Raises Unreadable when it is damaged; then it has failed."""
        self._leases.begin()
        try:
            job = await asyncio.to_thread(Job, whole, self._store)  # it may have a large lens to unpack
        except Unreadable as error:
            _log.error("%s", error.detail)
            values = {"status": "failed", "error": error.detail, "finished": repository.now(), "owner": None}
            await self._store.write(partial(repository.change, whole.row.id, values))
            raise
        self.jobs[job.id] = job
        self._tell_outlook(job)
        job.task = asyncio.create_task(self._work(job), name=f"analysis-{job.id}")
        return job

    async def stop(self, job: Job) -> None:
        """Cancel an analysis and wait until its end is kept and told; what is finished of it is kept. The
        caller does not hold `asking`; any number may call, and all wait for the same end.
        """
        if job.stopping is None:
            job.stopping = asyncio.create_task(self._stop(job), name=f"stop-{job.id}")
        await asyncio.shield(job.stopping)

    async def _stop(self, job: Job) -> None:
        assert job.task is not None, "it has been begun"
        job.interrupt()
        await asyncio.wait([job.task])

    async def close(self) -> None:
        """Put everything down. What is unfinished stays so, for another server or the next start."""
        await self._leases.end()
        if self._taking_up is not None:
            self._taking_up.cancel()
            await asyncio.wait([self._taking_up])
        jobs = list(self.jobs.values())
        for job in jobs:
            job.interrupt()
            if job.keeping is not None:
                job.keeping.cancel()
        tasks = [t for job in jobs for t in (job.task, job.stopping, job.keeping) if t is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queue.close()
        await self._leases.release()

    def _on_renewed(self) -> None:
        if self._open and self._models.state == "ready":
            self._take_up()

    async def _work(self, job: Job) -> None:
        try:
            async with (
                self._models.acquire(job.analysis.pair) as pair,
                self._queue.slot(lambda ahead: _tell_place(job, ahead)),
            ):
                with self._metrics.running.track_inprogress():
                    if (prompt := await self._settle_when_possible(job, pair)) is not None:
                        also = await self._further(job)
                        job.estimate = Estimate(self._shares.get(pair.name, SHARE))
                        await job.work(pair, prompt, self._settings, also, self._take_up)
                        self._shares[pair.name] = job.estimate.share()
        except asyncio.CancelledError:
            if job.stopping is None:
                raise
            await self._end_badly(job, "cancelled", None)
        except Taken:
            job.lost = True
        except NlaError as error:
            await self._end_badly(job, "failed", error.detail)
        except Exception as error:
            _log.exception("analysis %s failed", job.id)
            reason = f"The server failed at this ({type(error).__name__}). Its log tells more."
            await self._end_badly(job, "failed", reason)
        finally:
            if job.keeping is None:
                self.jobs.pop(job.id, None)
            if job.lost and not job.log.closed:
                job.log.move(job.id)  # watchers go on with what the store says
            self._count(job)

    async def _further(self, job: Job) -> dict[str, int | None]:
        """The pairs that are to read the forward pass of this job, with their layers as far as known."""
        job.begun = True
        wanted = (
            [] if job.born else [name for name in job.analysis.request.also if name in self._models.names]
        )
        return {name: (await self._models.layer_key(name)).layer for name in wanted}

    async def _settle_when_possible(self, job: Job, pair: LoadedPair) -> Prompt | None:
        """`_settle`, tried again until the store can be used."""

        def failed(error: StoreUnavailable) -> None:
            job.tell_progress(job.analysis.progress.stage, message=error.detail)

        return await until_available(partial(self._settle, job, pair), failed)

    async def _settle(self, job: Job, pair: LoadedPair) -> Prompt | None:
        """Tokenise, and learn the content address.

        None if another analysis stands there already: then this one becomes its alias.
        """
        prompt = await self.encode(job.analysis.request, pair)
        where = address(job.analysis.pair, pair.fingerprint, prompt.ids, job.analysis.request)
        kin = await self.kin(job.analysis.request, prompt)
        if job.address == where:
            return prompt
        if job.kin not in (None, kin):
            raise NlaError("The pair's target has changed since this was begun. Analyse the prompt again.")
        if job.address is not None:
            raise NlaError(
                "The pair's weights or tokenizer have changed since this was begun. Analyse the prompt again."
            )
        async with self.asking:
            other = await self._store.write(partial(leases.settle, job.id, where, pair.fingerprint, kin))
            if other is None:
                job.kin = kin
                return prompt
            if other.id not in self.jobs and other.status != "done":
                await self.start(other.id)
        await self.relate(other.id, job.analysis.request.also)
        job.log.move(other.id)
        return None

    async def _end_badly(self, job: Job, status: Status, error: str | None) -> None:
        if job.log.closed:
            return
        try:
            await job.break_off(status, error)
        except Taken:
            job.lost = True
        except StoreUnavailable as reason:
            _log.error("the end of analysis %s is kept later: %s", job.id, reason.detail)
            job.keeping = asyncio.create_task(self._keep_end(job), name=f"end-{job.id}")

    async def _keep_end(self, job: Job) -> None:
        """Keep an end that has been told as soon as the store takes it; till then the job stands for the analysis."""
        try:
            await job.keep_end()
        except Taken:
            _log.info("analysis %s is not this server's any more", job.id)
        finally:
            self.jobs.pop(job.id, None)

    def _tell_loading(self) -> None:
        for job in self.jobs.values():
            if job.analysis.progress.stage in {"loading", "waiting"}:
                self._tell_outlook(job)

    def _tell_outlook(self, job: Job) -> None:
        stage, message = self._models.wait_status(job.analysis.pair)
        job.tell_progress(stage, message=message)

    def _count(self, job: Job) -> None:
        if not job.log.closed:
            return
        self._metrics.ended.labels(status=job.analysis.status).inc()
        for reading in job.view().readings:
            self._metrics.readings.labels(failed=str(reading.error is not None).lower()).inc()
        for stage, seconds in job.analysis.timings.items():
            self._metrics.seconds.labels(stage=stage).observe(seconds)


def _tell_place(job: Job, ahead: int) -> None:
    before = {0: "Next in the queue.", 1: "One analysis waits before this one."}
    job.tell_progress(
        "queued", ahead=ahead, message=before.get(ahead, f"{ahead} analyses wait before this one.")
    )
