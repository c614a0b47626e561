"""The event log of one job: what a watcher must be told, whenever it comes and however slow it is.

The log keeps one entry for each thing that can be told (of an analysis: the tokens, the lens, each reading, the
progress, each text that is being written), always in its latest form, in the order of the latest change. A watcher
holds a number, the last id it was given, and asks for whatever is newer. So a slow watcher costs nothing, a
late one gets the present state, and one that comes back gets the rest.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PER_RUN = 10_000_000
"""Event ids of a later run of the same job start above those of an earlier one."""
LAST = ("done", "failed")
"""The kinds of event after which nothing comes."""

Key = tuple[int, int]
"""Position and sample."""


def last_of(run: int) -> int:
    """The highest event id that a run can give: for an end that comes without a run."""
    return run * PER_RUN


@dataclass(frozen=True)
class Event:
    """One message to watchers. Ids grow along one job for ever, also over a restart, with gaps: a watcher that was
    slow gets what is true now, not every step to it. The type of `data` depends on `kind`: see the schema of the job.
    """

    id: int
    kind: str
    data: Any


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
    """See the module. One task writes (ids then stand in order); any number reads. Runs count from 1.

    `delta` makes the data of an event out of the key of a text that is being written and its next bit.
    """

    def __init__(self, run: int = 1, delta: Callable[[Key, str], Any] = lambda key, text: text) -> None:
        self._last = (run - 1) * PER_RUN
        self._delta = delta
        self._entries: dict[tuple[str, Key | None], Event] = {}  # in the order of ids
        self._writing: dict[Key, _Writing] = {}
        self._news = asyncio.Event()
        self.closed = False
        """Nothing will be added any more."""
        self.moved_to: str | None = None
        """The job whose log goes on where this one ends."""

    def next_id(self) -> int:
        """Reserve an id: for an event that is stored with its id before it is told."""
        self._last += 1
        return self._last

    def put(self, kind: str, data: Any, *, key: Key | None = None, id: int | None = None) -> Event:
        """Tell something. It replaces what was told before under the same key (the kind, unless given), and the text
        that was being written under that key.
        """
        event = Event(self.next_id() if id is None else id, kind, data)
        self._last = max(self._last, event.id)
        name = (kind, key)
        self._entries.pop(name, None)
        self._entries[name] = event
        if key is not None:
            self._writing.pop(key, None)
        if kind in LAST:
            self.closed = True
            self._writing.clear()
        self.wake()
        return event

    def write(self, key: Key, text: str) -> None:
        """Add to a text that is being written."""
        writing = self._writing.setdefault(key, _Writing())
        writing.text += text
        writing.ids.append(self.next_id())
        writing.ends.append(len(writing.text))
        self.wake()

    def writing(self) -> dict[Key, str]:
        """The texts that are being written, so far."""
        return {key: writing.text for key, writing in self._writing.items()}

    def move(self, job_id: str) -> None:
        """End here; watchers go on with another job."""
        self.moved_to = job_id
        self.wake()

    def since(self, cursor: int) -> list[Event]:
        """Return the events after the id `cursor`, oldest first; each text that is being written as one delta."""
        events = []
        for event in reversed(self._entries.values()):
            if event.id <= cursor:
                break
            events.append(event)
        for key, writing in self._writing.items():
            if writing.ids[-1] > cursor:
                data = self._delta(key, writing.after(cursor))
                events.append(Event(writing.ids[-1], "delta", data))
        events.sort(key=lambda event: event.id)
        return events

    def wake(self) -> None:
        """Let every watcher look again, though nothing is new."""
        self._news.set()
        self._news = asyncio.Event()

    def news(self) -> asyncio.Event:
        """Set at the next change. Take it before reading, wait for it after."""
        return self._news
