"""The page's event stream: an open page is sent what has changed since its last message.

Each snapshot of the analysis is rendered, at most every WINDOW seconds, once for all pages that show the same, and
each fragment is sent whose HTML differs from what the page was sent. Fragments are whole and morphed in, so a message
that is lost or repeated does no harm, and every connection begins by bringing the page up to date.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from frontend.analysis.page import facts, legend, status, table
from frontend.analysis.panel import pinned_panel
from frontend.analysis.ribbon import ribbon_context
from frontend.analysis.tokens import rows, token
from frontend.analysis.view import NO_PANEL_DATA, PanelData, View
from frontend.lens.lens_map import lens_map
from frontend.sent_fragments import Sendable, SentFragments
from frontend.shared_streams import SharedStreams
from frontend.view_state import PLAIN, ViewState
from server.analyses.schema import Analysis, Reading, Snapshot
from server.jobs.progress import FINAL

WINDOW = 0.07  # s: at most about fourteen messages a second
NO_PARTS = (0, False, False)
"""What an analysis is made of at first: its tokens, its lens, its tuned lens."""
RIBBON_EVERY = 1.0
"""Seconds between two changes of the ribbon: the words of one reading can change every line."""
RIBBON_SHARE = 20
"""At most one in so many seconds goes into making it, however long the text."""
PARTS = {
    "head": "analysis/panel.head",
    "reading": "analysis/reading.reading",
    "edits": "edits/form.edits",
    "keep": "vectors/keep.keep",
    "flags": "analysis/panel.flags",
    "near": "analysis/panel.neighbours",
    "layers": "lens/layers.layers",
}
"""The parts of the panel: what their ids begin with, and their fragments."""


class OpenPage:
    """The fragments that one open page was sent."""

    def __init__(self, view_state: ViewState = PLAIN, clock: Callable[[], float] = time.monotonic) -> None:
        self._view_state = view_state
        self._clock = clock
        self._ribbon_due = 0.0
        self._ribbon_of: Sequence[Reading] | None = None
        self._sent = SentFragments()
        self._before: View | None = None
        self._shown: int | None = None

    def fragments(self, snapshot: Snapshot, panel_data: PanelData = NO_PANEL_DATA) -> str:
        """Render the <hx-partial> elements by which the page shows `snapshot`; empty when it does already."""
        view = View(snapshot.analysis, self._view_state, snapshot.writing, *panel_data, parts={})
        changed = "".join(self._changed(view))
        self._before = view
        return changed

    def sendable(self) -> Sendable:
        """All that the page has been sent and still has."""
        return self._sent.sendable()

    def _changed(self, view: View) -> Iterator[str]:
        yield from self._sent.changed("status", "analysis/progress.status", status(view))
        yield from self._sent.changed("facts", "analysis/progress.facts", facts(view))
        yield from self._sent.changed("legend", "analysis/text.legend", legend(view))
        if self._before is None or _other_text(self._before, view):
            if view.analysis.tokens:
                self._sent.forget(lambda target: target.startswith("tok-"))
                yield from self._sent.changed("text", "analysis/text.text", rows(view), swap="innerMorph")
                yield from self._sent.changed("all-readings", "analysis/table.all_readings", table(view))
        else:
            for position in _read_anew(self._before, view):
                yield from self._sent.changed(f"tok-{position}", "analysis/text.token", token(view, position))
        yield from self._sent.changed("lens", "lens/map.lens", lens_map(view))
        yield from self._ribbon(view)
        yield from self._panel(view)

    def _panel(self, view: View) -> Iterator[str]:
        """The whole panel when the pinned token is another one than before, else what changed in it."""
        panel = pinned_panel(view)
        if panel is None:
            return
        inside = {f"{target}-{panel.position}": macro for target, macro in PARTS.items()}
        if panel.position != self._shown:
            gone, self._shown = self._shown, panel.position
            self._sent.forget({f"{target}-{gone}" for target in PARTS}.__contains__)
            yield from self._sent.changed("panel", "analysis/panel.panel", panel)
            for target, macro in inside.items():
                self._sent.keep(target, macro, panel)
        for target, macro in inside.items():
            yield from self._sent.changed(target, macro, panel)

    def _ribbon(self, view: View) -> Iterator[str]:
        """Changes of the ribbon, now and then and at the end."""
        start, readings = self._clock(), view.analysis.readings
        if view.view_state.ribbon != "on" or readings == self._ribbon_of:
            return
        if start < self._ribbon_due and not view.final:
            return
        ribbon = ribbon_context(view)
        parts: dict[str, tuple[str, object]] = {"ribbon-head": ("head", ribbon)}
        for turn in ribbon.turns:
            parts[turn.id] = ("turn_head", turn)
            parts |= {chunk.id: ("chunk", chunk) for chunk in turn.chunks}
        if not self._sent.has(parts):
            self._sent.forget(lambda target: target.startswith("ribbon-"))
            yield from self._sent.changed("ribbon", "analysis/ribbon.ribbon", ribbon)
            for target, (macro, part) in parts.items():
                self._sent.keep(target, f"analysis/ribbon.{macro}", part)
        else:
            for target, (macro, part) in parts.items():
                yield from self._sent.changed(target, f"analysis/ribbon.{macro}", part)
        self._ribbon_of, now = readings, self._clock()
        self._ribbon_due = now + max(RIBBON_EVERY, RIBBON_SHARE * (now - start))


def _other_text(before: View, now: View) -> bool:
    """Return whether more than the colours of tokens has changed."""
    return (before.pinned, before.final) != (
        now.pinned,
        now.final,
    ) or before.analysis.tokens != now.analysis.tokens


def _read_anew(before: View, now: View) -> list[int]:
    """The positions whose readings have changed."""
    positions = before.by_position.keys() | now.by_position.keys()
    return sorted(p for p in positions if before.by_position.get(p) != now.by_position.get(p))


class Renderer:
    """Renders one view of an analysis. `panel_data` returns what is known of the pinned token from elsewhere."""

    def __init__(self, view_state: ViewState, panel_data: Callable[[Analysis], Awaitable[PanelData]]) -> None:
        self._page = OpenPage(view_state)
        self._panel_data = panel_data
        self._known, self._made = NO_PANEL_DATA, NO_PARTS

    async def show(self, snapshot: Snapshot, afresh: bool) -> Sendable:
        """Render a snapshot; return all that a page is sent."""
        now = snapshot.analysis
        parts = (len(now.tokens), now.lens is not None, now.tuned_lens is not None)
        if parts != self._made or (afresh and parts != NO_PARTS):
            self._made, self._known = parts, await self._panel_data(now)
        return await asyncio.to_thread(self._render, snapshot)  # a long text takes a while

    def is_final(self, snapshot: Snapshot) -> bool:
        """Return whether the analysis has ended."""
        return snapshot.analysis.status in FINAL

    def _render(self, snapshot: Snapshot) -> Sendable:
        self._page.fragments(snapshot, self._known)
        return self._page.sendable()


def stream(
    shared: SharedStreams,
    id: str,
    snapshots: Callable[[], AsyncGenerator[Snapshot]],
    view_state: ViewState,
    panel_data: Callable[[Analysis], Awaitable[PanelData]],
) -> AsyncGenerator[bytes]:
    """The server-sent events of one page, from where the analysis stands to its end. Pages that show the same share
    them.

    `panel_data` returns what is known of the pinned token from elsewhere. Unnamed messages are HTML to swap;
    `ping` says that the server is there, `done` tells the page to stop listening, however the analysis ended.
    A stream that ends without it is opened again.
    """
    key = "analysis", id, view_state
    return shared.stream(key, snapshots, lambda: Renderer(view_state, panel_data), WINDOW)
