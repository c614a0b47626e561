"""The event stream of causal scores: an open page is sent them as they are measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing

from frontend.analysis.page import legend
from frontend.analysis.panel import pinned_panel
from frontend.analysis.tokens import token
from frontend.analysis.view import View
from frontend.causal.section import causal_section
from frontend.page_stream import WINDOW
from frontend.sent_fragments import Sendable, SentFragments
from frontend.shared_streams import SharedStreams
from server.measurements.schema import Measurement, PendingMeasurement

Causal = Measurement | PendingMeasurement | None
"""The scores as they stand."""


class OpenScores:
    """Fragments of the scores in one view, as the pages that show it were sent them."""

    def __init__(self) -> None:
        self._sent = SentFragments()

    def fragments(self, view: View) -> str:
        """Render the <hx-partial> elements by which the page shows the scores; empty when it does already."""
        return "".join(self._changed(view))

    def _changed(self, view: View) -> Iterator[str]:
        yield from self._sent.changed("causal", "causal/section.section", causal_section(view))
        if not view.causal_scores:
            return
        yield from self._sent.changed("legend", "analysis/text.legend", legend(view))
        if view.by == "causal":
            for position in view.by_position:
                yield from self._sent.changed(f"tok-{position}", "analysis/text.token", token(view, position))
        panel = pinned_panel(view)
        if panel is not None:
            yield from self._sent.changed(f"reading-{panel.position}", "analysis/reading.reading", panel)

    async def show(self, snapshot: View, afresh: bool) -> Sendable:
        """Render the scores as they stand; return all that a page is sent."""
        await asyncio.to_thread(self.fragments, snapshot)
        return self._sent.sendable()

    def is_final(self, snapshot: View) -> bool:
        """Return whether all scores are there."""
        return not _going_on(snapshot.causal)


async def views(
    states: AsyncGenerator[Causal], view: View, again: Callable[[], Awaitable[View]]
) -> AsyncGenerator[View]:
    """The view with the scores as they come. `again` looks at the analysis anew, which may have been at work itself
    when this began.
    """
    async with aclosing(states):
        async for found in states:
            view = view.replace(causal=found) if view.final and _going_on(found) else await again()
            yield view


def stream(
    shared: SharedStreams,
    states: Callable[[], AsyncGenerator[Causal]],
    view: View,
    again: Callable[[], Awaitable[View]],
) -> AsyncGenerator[bytes]:
    """The server-sent events of one page, from the scores so far to all of them. Pages that show the same share them.
    `done` tells the page to stop listening; a stream that ends without it is opened again.
    """
    key = "causal", view.analysis.id, view.view_state
    return shared.stream(key, lambda: views(states(), view, again), OpenScores, WINDOW)


def _going_on(found: Causal) -> bool:
    return isinstance(found, PendingMeasurement)
