"""Analyses as jobs: how one begins, settles at its content address, and shares its forward pass with other layers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from server.analyses import layer_group, row_mapping
from server.analyses.content_id import content_id, text_id
from server.analyses.estimate import SHARE, Estimate
from server.analyses.forecast import Paces, Run
from server.analyses.job import AnalysisJob
from server.analyses.limits import check_prompt
from server.analyses.pipeline import Prompt, Traced, encode
from server.analyses.schema import AnalysisRequest
from server.errors import NlaError, StoreUnavailable
from server.jobs.job import JobKind
from server.jobs.scheduler import Scheduler
from server.metrics import Metrics
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store import leases, repository
from server.store.database import Store, until_available
from server.store.repository import StoredAnalysis
from server.store.tables import AnalysisRow

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


class AnalysisKind(JobKind[StoredAnalysis, AnalysisJob]):
    """The analyses of this server as jobs of its scheduler."""

    name = "analysis"
    plural = "analyses"
    table = AnalysisRow

    def __init__(
        self, scheduler: Scheduler, store: Store, models: ModelPool, settings: Settings, metrics: Metrics
    ) -> None:
        self.slots, self.bound = settings.max_running, settings.max_queue
        self.running, self.waiting = metrics.running, metrics.waiting
        self._scheduler = scheduler
        self._store = store
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._shares: dict[str, float] = {}
        """The AR's part of the time of each pair's readings, for the next estimate."""
        self.paces = Paces()
        self._tokenising = asyncio.Lock()

    def load(self, id: str, session: Session) -> StoredAnalysis:
        """Everything kept of an analysis, without the readings that failed."""
        return repository.begin(id, session)

    def job(self, stored: StoredAnalysis) -> AnalysisJob:
        """The job. Raises Unreadable."""
        return AnalysisJob(stored, self._store)

    def fail(self, stored: StoredAnalysis, error: str, session: Session) -> None:
        """Keep that an analysis of which no run can begin has failed."""
        values = {"status": "failed", "error": error, "finished": repository.now(), "leased_by": None}
        repository.change(stored.row.id, values, session)

    async def run(self, job: AnalysisJob, pair: LoadedPair) -> None:
        """Do what is left to do of an analysis."""
        prompt = await self._settle_when_possible(job, pair)
        if prompt is None:
            return
        also = await self._also(job)
        job.estimate, began = Estimate(self._shares.get(pair.name, SHARE)), time.monotonic()
        async with aclosing(job.work(pair, prompt, self._settings, also)) as steps:
            async for step in steps:
                if isinstance(step, Traced) and also:
                    self._scheduler.look_for_work()  # the other layers' analyses are kept now
        self._shares[pair.name] = job.estimate.share()
        self.paces.add(pair.name, Run(job.estimate.read, time.monotonic() - began))

    def ended(self, job: AnalysisJob) -> None:
        """Count an analysis that has ended, its readings and its stages."""
        self._metrics.ended.labels(status=job.analysis.status).inc()
        for reading in job.view().readings:
            self._metrics.readings.labels(failed=str(reading.error is not None).lower()).inc()
        for stage, seconds in job.analysis.timings.items():
            self._metrics.seconds.labels(stage=stage).observe(seconds)

    async def encode(self, request: AnalysisRequest, pair: LoadedPair) -> Prompt:
        """The prompt as the model sees it. Raises BadInput when it cannot be one, or is too long."""
        async with self._tokenising:  # a tokenizer is not made for two threads
            prompt = await asyncio.to_thread(encode, pair.prompter, request)
        check_prompt(request, len(prompt.ids), pair, self._settings)
        return prompt

    async def text_id(self, request: AnalysisRequest, prompt: Prompt) -> str:
        """The id that this analysis will share with those by other pairs. `request` is normalised."""
        return text_id((await self._models.layer_key(request.pair or "")).target, prompt.ids, request)

    async def add_layers(self, analysis_id: str, also: Sequence[str]) -> None:
        """Have further pairs read what an analysis reads; in its forward pass, unless that has been."""
        job = self._scheduler.get(analysis_id)
        if not also or (isinstance(job, AnalysisJob) and await job.widen(also)):
            return
        row = await self._store.read(partial(repository.get, analysis_id))
        if row is None or row.text_id is None:
            return
        ids = {"prompt_ids": row.prompt_ids, "generated_ids": row.generated_ids}
        analysis = row_mapping.analysis_of(StoredAnalysis(row, (), None))
        for pair in also:
            layer = layer_group.row(analysis, pair, row.text_id, ids)
            await self._store.write(partial(leases.add_layer, layer, None))
        self._scheduler.look_for_work()

    async def _also(self, job: AnalysisJob) -> dict[str, int | None]:
        """The pairs that are to read the forward pass of this job, with their layers as far as known."""
        job.begun = True
        wanted = [] if job.from_shared_trace else job.analysis.request.also
        return {
            name: (await self._models.layer_key(name)).layer for name in wanted if name in self._models.names
        }

    async def _settle_when_possible(self, job: AnalysisJob, pair: LoadedPair) -> Prompt | None:
        """`_settle`, tried again until the store can be used."""

        def failed(error: StoreUnavailable) -> None:
            job.tell_progress(job.stage, message=error.detail)

        return await until_available(partial(self._settle, job, pair), failed)

    async def _settle(self, job: AnalysisJob, pair: LoadedPair) -> Prompt | None:
        """Tokenise, and learn the content address.

        None if another analysis stands there already: then this one becomes its alias.
        """
        request = job.analysis.request
        prompt = await self.encode(request, pair)
        address = content_id(job.pair, pair.fingerprint, prompt.ids, request)
        text_id = await self.text_id(request, prompt)
        if job.address == address:
            return prompt
        if job.text_id not in (None, text_id):
            raise NlaError("The pair's target has changed since this was begun. Analyse the prompt again.")
        if job.address is not None:
            raise NlaError(
                "The pair's weights or tokenizer have changed since this was begun. Analyse the prompt again."
            )

        def claim(server: str, session: Session) -> tuple[str | None, str | None]:
            other = leases.settle(job.id, address, pair.fingerprint, text_id, session)
            if other is None:
                return None, None
            return other.id, None if other.status == "done" else other.id

        other = await self._scheduler.submit(self, claim)
        if other is None:
            job.text_id = text_id
            return prompt
        await self.add_layers(other, request.also)
        job.log.move(other)
        return None
