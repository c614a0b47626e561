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
from frontend.event_stream import DONE, PING, message, pinged
from frontend.page_stream import WINDOW
from frontend.sent_fragments import SentFragments
from server.measurements.schema import Measurement, PendingMeasurement

Causal = Measurement | PendingMeasurement | None
State = tuple[Causal]
"""The scores as they stand."""


class OpenScores:
    """The fragments that one open page was sent."""

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


async def stream(
    states: AsyncGenerator[State], view: View, again: Callable[[], Awaitable[View]]
) -> AsyncGenerator[bytes]:
    """The server-sent events of one page, from the scores so far to all of them. `again` looks at the analysis anew,
    which may have been at work itself when this began. `done` tells the page to stop listening; a stream that ends
    without it is opened again.
    """
    page, last = OpenScores(), view.causal
    async with aclosing(pinged(states)) as found:
        async for state in found:
            if state is None:
                yield PING
                continue
            (last,) = state
            view = view.replace(causal=last) if view.final and _going_on(last) else await again()
            html = await asyncio.to_thread(page.fragments, view)
            yield message(html) if html else PING
            await asyncio.sleep(WINDOW)
    if not _going_on(last):
        yield DONE


def _going_on(found: Causal) -> bool:
    return isinstance(found, PendingMeasurement)
