"""The event stream of a study's page: what the page shows is rendered anew, and sent where it changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from frontend.sent_fragments import Sendable, SentFragments
from frontend.shared_streams import SharedStreams
from frontend.studies.cases import Show
from frontend.studies.page import study_page
from server.jobs.progress import FINAL
from server.studies.schema import Study
from server.studies.service import Studies

WINDOW = 1.0
"""Seconds between two renderings, at least."""
PARTS = {
    "status": "studies/parts.status",
    "findings": "studies/findings.findings",
    "cases": "studies/cases.cases",
}
"""What changes while a study runs, by its id on the page, and its fragments."""


class OpenStudy:
    """Fragments of one view of a study, as the pages that show it were sent them."""

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

    async def show(self, snapshot: Study, afresh: bool) -> Sendable:
        """Render the study as it stands; return all that a page is sent."""
        await asyncio.to_thread(self.fragments, snapshot)
        return self._sent.sendable()

    def is_final(self, snapshot: Study) -> bool:
        """Return whether the study has ended."""
        return snapshot.status in FINAL


def stream(shared: SharedStreams, studies: Studies, id: str, show: Show, start: int) -> AsyncGenerator[bytes]:
    """The server-sent events of one page, from where the study stands to its end. Pages that show the same share them.
    `done` tells the page to stop listening, however it ended; a stream that ends without it is opened again.
    """
    key = "study", id, show, start
    return shared.stream(key, partial(studies.watch, id), lambda: OpenStudy(show, start), WINDOW)
