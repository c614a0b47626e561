"""The event log of one analysis: what a watcher must be told, whenever it comes and however slow it is.

The log keeps one entry for each thing that can be told (the tokens, the lens, each reading, the progress,
each text that is being written), always in its latest form, in the order of the latest change. A watcher
holds a number, the last id it was given, and asks for whatever is newer. So a slow watcher costs nothing, a
late one gets the present state, and one that comes back gets the rest.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from server.analyses.schema import Event, EventKind, ReadingDelta

PER_RUN = 10_000_000
"""Event ids of a later run of the same analysis start above those of an earlier one."""

Key = tuple[int, int]
"""Position and sample."""


def last_of(run: int) -> int:
    """The highest event id that a run can give: for an end that comes without a run."""
    return run * PER_RUN


@dataclass
class _Writing:
    """A text that is being written: where it ended after each event."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def after(self, cursor: int) -> str:
        seen = bisect_right(self.ids, cursor)
        return self.text[self.ends[seen - 1] if seen else 0 :]


class EventLog:
    """See the module. One task writes (ids then stand in order); any number reads. Runs count from 1."""

    def __init__(self, run: int = 1) -> None:
        self._last = (run - 1) * PER_RUN
        self._entries: dict[Hashable, Event] = {}  # in the order of ids
        self._writing: dict[Key, _Writing] = {}
        self._news = asyncio.Event()
        self.closed = False
        """Nothing will be added any more."""
        self.moved_to: str | None = None
        """The analysis whose log goes on where this one ends."""

    def next_id(self) -> int:
        """Reserve an id: for an event that is stored with its id before it is told."""
        self._last += 1
        return self._last

    def put(self, kind: EventKind, data: Any, *, key: Hashable = None, id: int | None = None) -> Event:
        """Tell something; it replaces what was told before under the same key (the kind, unless given)."""
        event = Event(self.next_id() if id is None else id, kind, data)
        self._last = max(self._last, event.id)
        name = (kind, key)
        self._entries.pop(name, None)
        self._entries[name] = event
        if kind == "reading":
            self._writing.pop((data.position, data.sample), None)
        if kind in {"done", "failed"}:
            self.closed = True
            self._writing.clear()
        self.wake()
        return event

    def write(self, position: int, sample: int, text: str) -> None:
        """Add to a text that is being written."""
        writing = self._writing.setdefault((position, sample), _Writing())
        writing.text += text
        writing.ids.append(self.next_id())
        writing.ends.append(len(writing.text))
        self.wake()

    def writing(self) -> dict[Key, str]:
        """The texts that are being written, so far."""
        return {key: writing.text for key, writing in self._writing.items()}

    def move(self, analysis_id: str) -> None:
        """End here; watchers go on with another analysis."""
        self.moved_to = analysis_id
        self.wake()

    def since(self, cursor: int) -> list[Event]:
        """What is newer than the id `cursor`, oldest first; each text that is being written as one delta."""
        events = []
        for event in reversed(self._entries.values()):
            if event.id <= cursor:
                break
            events.append(event)
        for (position, sample), writing in self._writing.items():
            if writing.ids[-1] > cursor:
                delta = ReadingDelta(position=position, sample=sample, text=writing.after(cursor))
                events.append(Event(writing.ids[-1], "delta", delta))
        events.sort(key=lambda event: event.id)
        return events

    def wake(self) -> None:
        """Let every watcher look again, though nothing is new."""
        self._news.set()
        self._news = asyncio.Event()

    def news(self) -> asyncio.Event:
        """Set at the next change. Take it before reading, wait for it after."""
        return self._news
