"""The event stream of a study's page: what the page shows is rendered anew, and sent where it changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from frontend.event_stream import DONE, PING, message, pinged
from frontend.sent_fragments import SentFragments
from frontend.studies.cases import Show
from frontend.studies.page import study_page
from server.studies.schema import Study
from server.studies.service import Studies

WINDOW = 1.0
"""Seconds between two renderings, at least."""
PART = 5
"""A rendering may take one part in so many of the time: the figures of a large study take a while."""
ENDS = ("done", "failed")
PARTS = {
    "status": "studies/parts.status",
    "findings": "studies/findings.findings",
    "cases": "studies/cases.cases",
}
"""What changes while a study runs, by its id on the page, and its fragments."""


class OpenStudy:
    """The fragments that one open page was sent."""

    def __init__(self, show: Show, start: int) -> None:
        self._looked_at = show, start
        self._sent = SentFragments()

    def fragments(self, study: Study) -> str:
        """Render the <hx-partial> elements by which the page shows `study`; empty when it does already."""
        context = study_page(study, *self._looked_at)
        return "".join(
            html
            for target, macro in PARTS.items()
            for html in self._sent.changed(target, macro, getattr(context, target))
        )


async def stream(studies: Studies, id: str, show: Show, start: int) -> AsyncGenerator[bytes]:
    """The server-sent events of one page, from where the study stands to its end. `done` tells the page to stop
    listening, however it ended; a stream that ends without it is opened again.
    """
    page, again, stale = OpenStudy(show, start), 0.0, True
    async with aclosing(pinged(studies.events(id), WINDOW)) as events:
        async for event in events:
            stale = stale or event is not None
            ended = event is not None and event.kind in ENDS
            soon = time.monotonic() < again and not ended
            if event is not None and soon:
                continue
            html = ""
            if stale and not soon:
                study, began = await studies.get(id), time.monotonic()
                html = await asyncio.to_thread(page.fragments, study)
                took, stale = time.monotonic() - began, False
                again = time.monotonic() + max(WINDOW, PART * took)
            yield message(html) if html else PING
            if ended:
                yield DONE
