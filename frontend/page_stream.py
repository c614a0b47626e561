"""The page's event stream: what an open page must be told so that it shows what is true now.

A `Live` page applies the analysis's events to its own copy and, at most every WINDOW seconds, sends each
fragment whose HTML has changed since it was last sent. Fragments are whole and morphed in, so a message that
is lost or repeated does no harm, and every connection begins by bringing the page up to date.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing

from frontend import templating
from frontend.analysis.page import facts, legend, status, table
from frontend.analysis.panel import pinned_panel
from frontend.analysis.tokens import rows, token
from frontend.analysis.view import NO_PANEL_DATA, PanelData, View
from frontend.lens.lens_map import lens_map
from frontend.view_state import PLAIN, ViewState
from server.analyses.schema import FINAL, Analysis, Delta, Event, Reading

WINDOW = 0.07  # s: at most about fourteen messages a second
PING = 4.0
"""Seconds after which a page with nothing new hears that the server is there; see QUIET in static/connection.js."""
PARTS = {
    "head": "analysis/panel.head",
    "reading": "analysis/reading.reading",
    "edits": "edits/form.edits",
    "flags": "analysis/panel.flags",
    "near": "analysis/panel.neighbours",
    "layers": "lens/layers.layers",
}
"""The parts of the panel: what their ids begin with, and their fragments."""


class Live:
    """One open page: the analysis as this viewer knows it, and the fragments it was sent."""

    def __init__(
        self, analysis: Analysis, view_state: ViewState = PLAIN, panel_data: PanelData = NO_PANEL_DATA
    ) -> None:
        self.analysis = analysis
        self.view_state = view_state
        self.panel_data = panel_data
        self.readings = {(r.position, r.sample): r for r in analysis.readings}
        self.partials: dict[tuple[int, int], str] = {}
        self.sent: dict[str, str] = {}
        self.stale: set[int] = set()
        self.retokenised = True
        self.shown: int | None = None

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self.analysis.status in FINAL

    def apply(self, event: Event) -> None:
        """Take in one event."""
        data = event.data
        match event.kind:
            case "tokens":
                self.retokenised |= data != self.analysis.tokens
                self._update(tokens=data, status="running")
            case "lens":
                self._update(lens=data)
            case "tuned_lens":
                self._update(tuned_lens=data)
            case "delta":
                self._grow(data)
            case "reading":
                self._keep(data)
            case "progress":
                self._update(progress=data, status="queued" if data.stage == "queued" else "running")
            case _:
                self._update(
                    status=data.status, error=data.error, baselines=data.baselines or self.analysis.baselines
                )
                self.retokenised = True

    def adopt(self, now: Analysis) -> None:
        """Take over the analysis as it is: the tokens' event carries neither focus nor layer."""
        self.analysis = now
        self.readings |= {(r.position, r.sample): r for r in now.readings}
        for key in self.readings:
            self.partials.pop(key, None)
        self.retokenised = True

    def _update(self, **changes: object) -> None:
        self.analysis = self.analysis.model_copy(update=changes)

    def _grow(self, delta: Delta) -> None:
        key = (delta.position, delta.sample)
        if key in self.readings and self.readings[key].error:  # it is written again
            del self.readings[key]
            self.stale.add(delta.position)
        self.partials[key] = self.partials.get(key, "") + delta.text

    def _keep(self, reading: Reading) -> None:
        key = (reading.position, reading.sample)
        self.readings[key] = reading
        self.partials.pop(key, None)
        self.stale.add(reading.position)

    def fragments(self) -> str:
        """What has changed since the last call, as <hx-partial> elements; empty when nothing has."""
        if self.stale:
            self._update(readings=list(self.readings.values()))
        view = View(self.analysis, self.view_state, self.partials, *self.panel_data)
        changed = "".join(self._changed(view))
        self.stale.clear()
        self.retokenised = False
        return changed

    def _changed(self, view: View) -> Iterator[str]:
        yield from self._send("status", "analysis/progress.status", status(view))
        yield from self._send("facts", "analysis/progress.facts", facts(view))
        yield from self._send("legend", "analysis/text.legend", legend(view))
        if self.analysis.tokens and self.retokenised:
            yield from self._send("text", "analysis/text.text", rows(view), swap="innerMorph")
            yield from self._send("all-readings", "analysis/table.all_readings", table(view))
        else:
            for position in sorted(self.stale):
                yield from self._send(f"tok-{position}", "analysis/text.token", token(view, position))
        yield from self._send("lens", "lens/map.lens", lens_map(view))
        yield from self._panel(view)

    def _panel(self, view: View) -> Iterator[str]:
        """The whole panel when the pinned token is another one than before, else what changed in it."""
        panel = pinned_panel(view)
        if panel is None:
            return
        inside = {f"{target}-{panel.position}": macro for target, macro in PARTS.items()}
        if panel.position != self.shown:
            self.shown = panel.position
            yield from self._send("panel", "analysis/panel.panel", panel)
            self.sent |= {target: templating.fragment(macro, panel) for target, macro in inside.items()}
        for target, macro in inside.items():
            yield from self._send(target, macro, panel)

    def _send(self, target: str, macro: str, context: object, swap: str = "outerMorph") -> Iterator[str]:
        html = templating.fragment(macro, context)
        if self.sent.get(target) != html:
            self.sent[target] = html
            yield str(templating.fragment("analysis/stream.partial", target, html, swap))


async def stream(
    get: Callable[[], Awaitable[Analysis]],
    events: AsyncIterator[Event],
    view_state: ViewState,
    look_around: Callable[[Analysis], Awaitable[PanelData]],
) -> AsyncIterator[bytes]:
    """The server-sent events of one page, from where the analysis stands to its end.

    `get` returns the analysis as it is now, `look_around` what is known of the pinned token from elsewhere. Unnamed messages are HTML to swap; `ping` says that the server
    is there, `done` tells the page to stop listening, however the analysis ended. A stream that ends without it is opened again.
    """
    now = await get()
    live = Live(now, view_state, await look_around(now))
    yield message(await asyncio.to_thread(live.fragments))  # a long text takes a while: not on the event loop
    async with aclosing(coalesced(events)) as batches:
        async for batch in batches:
            for event in batch:
                live.apply(event)
            if any(event.kind in {"tokens", "lens", "tuned_lens"} for event in batch):
                now = await get()
                live.adopt(now)
                live.panel_data = await look_around(now)
            html = await asyncio.to_thread(live.fragments) if batch else ""
            yield message(html) if html else message("", event="ping")
            if batch:
                await asyncio.sleep(WINDOW)
    if live.final:
        yield message("{}", event="done")


async def coalesced(events: AsyncIterator[Event], ping: float = PING) -> AsyncGenerator[list[Event]]:
    """The events in batches: all that came since the last was taken; empty after `ping` seconds of none."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def pump() -> None:
        try:
            async for event in events:
                queue.put_nowait(event)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(pump())
    try:
        while True:
            try:
                batch = [await asyncio.wait_for(queue.get(), ping)]
            except TimeoutError:
                yield []
                continue
            while not queue.empty():
                batch.append(queue.get_nowait())
            found = [event for event in batch if event is not None]
            if found:
                yield found
            if len(found) < len(batch):
                await task  # raises what ended the events, if it was not their end
                return
    finally:
        task.cancel()


def message(data: str, *, event: str | None = None) -> bytes:
    """One server-sent event. Line ends of every kind become `\\n`, each line gets its own `data:`."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = f"event: {event}\n" if event else ""
    return (head + "".join(f"data: {line}\n" for line in lines) + "\n").encode()
