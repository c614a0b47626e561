"""The job of an analysis: takes the steps of its run one by one, keeps each, then tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from pydantic_core import to_json
from sqlalchemy.orm import Session

from server.analyses import layer_group, row_mapping
from server.analyses.estimate import Estimate
from server.analyses.lens_table import LensTable
from server.analyses.pipeline import (
    BaselinesKnown,
    Found,
    Prompt,
    ReadingsStarted,
    Reply,
    RunState,
    Step,
    TokensKnown,
    Traced,
    Tuned,
    Tuning,
    analyse,
)
from server.analyses.reading_writes import ReadingWrites
from server.analyses.readings import Finding, Scored
from server.analyses.schema import Analysis, EventKind
from server.analyses.watched import WatchedPositions
from server.errors import NlaError, StoreUnavailable
from server.jobs.job import Job
from server.jobs.progress import Progress, Status
from server.nla.verbalisers.base import Failed, Finished, TextDelta
from server.settings import Settings
from server.store import leases, repository
from server.store.database import Store
from server.store.repository import StoredAnalysis
from server.store.tables import AnalysisRow, TraceRow
from server.store.vectors import pack, pack_ids, unpack, unpack_ids

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

PROGRESS = 1.0
"""Seconds between two messages of progress while readings are being written and none has ended."""


class AnalysisJob(Job):
    """The live state of one analysis. `analysis` is what GET answers, `log` what watchers are told."""

    kind = "analysis"

    def __init__(self, whole: StoredAnalysis, store: Store) -> None:
        self.analysis = row_mapping.analysis_of(whole)
        log = row_mapping.log_of(whole, self.analysis)
        super().__init__(whole.row.id, whole.row.pair, whole.row.run_number, log)
        self.pins = WatchedPositions()
        self.pins.focus = self.analysis.focus
        self.address = whole.row.address
        """None while it is unknown."""
        self.text_id = whole.row.text_id
        self.from_shared_trace = whole.row.address is None and whole.row.text_id is not None
        """It was made by the analysis of another layer, which has seen to the others."""
        self.begun = False
        """It is too late to add to what is asked."""
        self._ids = {"prompt_ids": whole.row.prompt_ids, "generated_ids": whole.row.generated_ids}
        self._also: tuple[str, ...] = ()
        self._whole: StoredAnalysis | None = whole
        self._store = store
        self._readings = {(r.position, r.sample): r for r in self.analysis.readings}
        self._clock = 0.0
        self.estimate = Estimate()
        self._told = 0.0
        self._end: Callable[[Session], None] | None = None

    @property
    def stage(self) -> str:
        """The stage of its progress."""
        return self.analysis.progress.stage

    def view(self) -> Analysis:
        """The analysis as it stands now; it does not change under the caller."""
        readings = [self._readings[key] for key in sorted(self._readings)]  # they are replaced, never altered
        return self.analysis.model_copy(update={"readings": readings, "timings": dict(self.analysis.timings)})

    def tell_progress(
        self, stage: str, *, ahead: int | None = None, message: str | None = None, id: int | None = None
    ) -> None:
        """Say how far it is."""
        reading = stage == "readings"
        self.analysis.progress = Progress(
            stage=stage,
            done=sum(reading.scored for reading in self._readings.values()),
            total=self.analysis.progress.total,
            fraction=self.estimate.fraction if reading else None,
            seconds_left=self.estimate.seconds_left if reading else None,
            ahead=ahead,
            message=message,
        )
        self.log.put("progress", self.analysis.progress, id=id)

    async def widen(self, also: Sequence[str]) -> bool:
        """Let further pairs share the forward pass; False if it is too late for that."""
        if self.begun or self.analysis.lens is not None:
            return False
        request = self.analysis.request
        request = request.model_copy(update={"also": sorted({*request.also, *also})})
        self.analysis.request = request
        await self._keep(request=request.model_dump_json())
        return True

    async def work(
        self,
        pair: LoadedPair,
        prompt: Prompt,
        settings: Settings,
        also: Mapping[str, int | None],
    ) -> AsyncGenerator[Step]:
        """Do what is left to do, to the end; each step is yielded once it is kept and told. `also` are further pairs
        with their layers, as far as known, whose analyses begin with the same forward pass. Raises what the models
        raise, and Taken when the run is over.
        """
        if self.analysis.lens is not None and self.analysis.layer not in (None, pair.layer):
            raise NlaError(
                f"This was traced at layer {self.analysis.layer}, which is not the pair's ({pair.layer}). Analyse the "
                "prompt again."
            )
        spent = max(self.analysis.timings.values(), default=0.0)  # by earlier runs
        self._clock = time.monotonic() - spent
        self.estimate.typical = await self._store.read(partial(repository.typical_length, pair.name))
        plan = await asyncio.to_thread(self._plan, prompt, settings)
        self._also = tuple(also)
        plan.also = {name: layer for name, layer in also.items() if layer is not None}
        self._ids["prompt_ids"] = pack_ids(prompt.ids)
        self.analysis.status = "running"
        self.analysis.layer, self.analysis.fve_variance = pair.layer, pair.variance
        self.analysis.versions = dict(pair.versions)
        await self._keep(
            status="running",
            layer=pair.layer,
            fve_variance=pair.variance,
            versions=_json(self.analysis.versions),
            prompt_ids=self._ids["prompt_ids"],
        )
        async with aclosing(analyse(pair, plan, self.pins)) as steps:
            async for step in steps:
                await self._take(step)
                yield step
        failed = [reading.error for reading in self._readings.values() if reading.error]
        if failed and len(failed) == len(self._readings):
            await self.end("failed", f"No position could be read. The first reason: {failed[0]}")
        else:
            await self.end("done")

    def _plan(self, prompt: Prompt, settings: Settings) -> RunState:
        """The state to go on from, by what earlier runs have kept. Raises Unreadable when that is damaged."""
        assert self._whole is not None, "a job works once"
        row, trace, readings = self._whole.row, self._whole.trace, self._whole.readings
        self._whole = None
        with row_mapping.readable(self.id):
            generated = unpack_ids(row.generated_ids) if row.generated_ids is not None else None
            activations = unpack(trace.activations) if trace is not None else None
            kept = row_mapping.kept_of(readings)
        return RunState(
            request=self.analysis.request,
            prompt=prompt,
            generated_ids=generated,
            tokens=self.analysis.tokens,
            lens=self.analysis.lens,
            tuned_lens=self.analysis.tuned_lens,
            activations=activations,
            kept=kept,
            window=settings.batch_window,
            score_batch=settings.score_batch,
            patience=settings.av_timeout,
            estimate=self.estimate,
        )

    async def _take(self, step: Step) -> None:
        match step:
            case TokensKnown():
                self._mark("tokens")
                self._show(step)
                self.tell_progress("lens" if step.complete else "reply")
            case Reply():
                self._mark("reply")
                self._ids["generated_ids"] = pack_ids(step.ids)
                await self._keep(generated_ids=self._ids["generated_ids"])
            case Traced():
                self._mark("lens")
                await self._take_trace(step)
            case ReadingsStarted():
                written = {key for key, r in self._readings.items() if r.error is None}
                scored = {key for key in written if self._readings[key].scored}
                self.estimate.begin(step.total, written, scored)
                self.analysis.progress = self.analysis.progress.model_copy(update={"total": step.total})
                self.tell_progress("readings")
            case BaselinesKnown():
                self.analysis.baselines = step.baselines
            case Tuning():
                self.tell_progress("tuned_lens")
            case Tuned():
                self._mark("tuned_lens")
                await self._take_tuned(step.lens)
            case Found():
                await self._take_findings(step.findings)

    def _show(self, step: TokensKnown | Traced) -> None:
        self.analysis.tokens = step.tokens
        self.analysis.focus = self.pins.focus = step.focus
        self.log.put("tokens", step.tokens)

    async def _take_trace(self, step: Traced) -> None:
        reply = "".join(token.text for token in step.tokens if token.kind == "generated")

        def rows() -> tuple[TraceRow, bytes]:
            trace = TraceRow(
                analysis_id=self.id,
                lens=step.lens.to_blob(),
                activations=pack(step.activations, exact=True),
            )
            return trace, row_mapping.pack_tokens(step.tokens)

        trace, tokens = await asyncio.to_thread(rows)
        search_text = f"{self.analysis.request.prompt_text}\n{reply}"
        layers = await asyncio.to_thread(self._layers, step, trace, search_text)
        tokens_event, lens_event = self.log.next_id(), self.log.next_id()
        values = {
            "tokens": tokens,
            "token_count": len(step.tokens),
            "search_text": search_text,
            "focus": step.focus,
            "timings": _json(self.analysis.timings),
            "tokens_event": tokens_event,
            "lens_event": lens_event,
        }

        def keep(session: Session) -> None:
            repository.save_trace(trace, values, session)
            for row, own in layers:
                leases.add_layer(row, own, session)

        await self._write(keep)
        self.analysis.tokens, self.analysis.lens = step.tokens, step.lens
        self.analysis.focus = self.pins.focus = step.focus
        self.log.put("tokens", step.tokens, id=tokens_event)
        self.log.put("lens", step.lens, id=lens_event)

    async def _take_tuned(self, lens: LensTable) -> None:
        blob = await asyncio.to_thread(lens.to_blob)
        event = self.log.next_id()
        await self._write(partial(repository.save_tuned_lens, self.id, blob, event))
        self.analysis.tuned_lens = lens
        self.log.put("tuned_lens", lens, id=event)

    def _layers(self, step: Traced, trace: TraceRow, search_text: str) -> list[layer_group.NewLayer]:
        """The analyses by the further pairs."""
        if self.text_id is None:
            return []
        rows = [layer_group.row(self.analysis, pair, self.text_id, self._ids) for pair in self._also]
        return [layer_group.from_shared_trace(row, step, trace, search_text) for row in rows]

    async def _take_findings(self, findings: Sequence[Finding]) -> None:
        """Keep in one transaction whatever has piled up, then tell it in the order in which it was made."""
        for finding in findings:
            if isinstance(finding, TextDelta):  # not kept; first, since ids rise in the order of telling
                self._mark("first_words")
                self.log.write(finding.key, finding.text)
        spare = self.log.next_id()
        changes = ReadingWrites(self.id, self._readings)
        for finding in findings:
            if isinstance(finding, Finished):
                self._mark("first_reading")
                self.estimate.written(finding.key, len(finding.text))
                changes.write(finding, self.log.next_id())
            elif isinstance(finding, Failed):
                if not finding.retryable:
                    self.estimate.scored(finding.key)
                changes.mark(finding, self.log.next_id())
            elif isinstance(finding, Scored):
                self._mark("last_score", again=True)
                for key, score in finding.scores.items():
                    self.estimate.scored(key)
                    changes.score(key, score, finding.vectors[key], self.log.next_id())
        if changes.told:
            await self._write(changes.keep, spare)
        for event, reading in changes.told:
            told = (reading.position, reading.sample)
            self._readings[told] = reading
            self.log.put("reading", reading, key=told, id=event)
        if changes.told or time.monotonic() - self._told > PROGRESS:
            self._told = time.monotonic()
            self.tell_progress("readings")

    async def end(self, status: Status, error: str | None = None) -> None:
        """Keep how it ended, as soon as the store takes it, and tell."""
        spare = self.log.next_id()
        tell = self._ending(status, error)
        await self.keep_end(spare)
        tell()

    async def break_off(self, status: str, error: str | None) -> None:
        """Keep and tell that it failed or was cancelled. Raises StoreUnavailable when it is told but not kept: then
        `keep_end` has to be called; and Taken when the run is over.
        """
        tell = self._ending("cancelled" if status == "cancelled" else "failed", error)
        assert self._end is not None
        try:
            await self._store.write(self._end)
        except StoreUnavailable:
            tell()
            raise
        tell()

    async def keep_end(self, spare: int | None = None) -> None:
        """Keep the end as soon as the store takes it."""
        assert self._end is not None, "it has ended"
        await self._write(self._end, spare)

    def _ending(self, status: Status, error: str | None) -> Callable[[], None]:
        """Settle what is to be kept of the end; call what this returns to tell it."""
        progress_event, end_event = self.log.next_id(), self.log.next_id()
        if self._clock:
            self._mark("total", again=True)
        finished = repository.now()
        values = {
            "status": status,
            "error": error,
            "finished": finished,
            "baselines": _json(self.analysis.baselines) if self.analysis.baselines else None,
            "timings": _json(self.analysis.timings),
            "end_event": end_event,
            "leased_by": None,
        }
        self._end = self._held(partial(repository.change, self.id, values))

        def tell() -> None:
            self.analysis.status, self.analysis.error, self.analysis.finished = status, error, finished
            self.tell_progress(status, id=progress_event)
            kind: EventKind = "done" if status == "done" else "failed"
            self.log.put(kind, row_mapping.end_of(self.analysis), id=end_event)

        return tell

    async def _keep(self, **values: object) -> None:
        await self._write(partial(repository.change, self.id, values))

    async def _write(self, work: Callable[[Session], None], spare: int | None = None) -> None:
        """Keep something of this run as soon as the store takes it. Raises Taken if the run is over. A caller
        that has given out ids of events for what it keeps has a `spare` one before them, under which the
        waiting is told.
        """
        waits = False

        def failed(error: StoreUnavailable) -> None:
            nonlocal waits
            if not waits and not self.log.closed:
                self.tell_progress(self.analysis.progress.stage, message=error.detail, id=spare)
            waits = True

        await self._store.write_until_kept(self._held(work), failed)

    def _held(self, work: Callable[[Session], None]) -> Callable[[Session], None]:
        def held(session: Session) -> None:
            leases.fence(AnalysisRow, self.id, self.run, session)
            work(session)

        return held

    def _mark(self, name: str, *, again: bool = False) -> None:
        """Seconds of work to the first (or, `again`, the latest) time that this is reached, over all runs."""
        if again or name not in self.analysis.timings:
            self.analysis.timings[name] = round(time.monotonic() - self._clock, 3)


def _json(document: object) -> str:
    return to_json(document, inf_nan_mode="null").decode()
