"""Protocol of every AV engine: requests in, parts of readings and finished readings out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from server.nla.types import Floats

OPENING, CLOSING = "<explanation>", "</explanation>"
UNFIT = "The activation is not finite or has the wrong width."


@dataclass(frozen=True)
class ReadingRequest:
    """One reading that is wanted. `key` is the caller's name of it, anything hashable, and comes back with what is said
    of it. `activation` is raw, [d]; `sample` sets its random source beside the seed. Somebody looks at one that is
    `watched`: it goes before the others, and its words come one by one.
    """

    key: Any
    activation: Floats
    sample: int = 0
    watched: bool = False


@dataclass(frozen=True)
class TextDelta:
    """The next bit of a reading; tags never show."""

    key: Any
    text: str


@dataclass(frozen=True)
class Finished:
    """A whole reading. `truncated`: it was cut short, no closing tag came. `tokens` counts what was decoded."""

    key: Any
    text: str
    truncated: bool
    tokens: int


@dataclass(frozen=True)
class Failed:
    """A reading that could not be written: one marked position, not a failed analysis.

    `retryable`: the engine's fault, not the activation's; asked again, it may well be written.
    """

    key: Any
    reason: str
    retryable: bool = False


Outcome = TextDelta | Finished | Failed


class Verbaliser(Protocol):
    """An AV engine. Closing the iterator that `stream` gives ends the work it stands for."""

    name: str

    @property
    def max_concurrency(self) -> int | None:
        """The number of readings that keep it busy, where they come and go one by one; None if it takes one call after
        the other.
        """

    @property
    def unavailable_reason(self) -> str | None:
        """The reason why no reading can be made at the moment, if so; the engine is at work on it."""

    async def open(self) -> None:
        """Make ready. Raises SettingsError or CheckpointError with cause and cure."""

    def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncIterator[Outcome]:
        """Readings of `requests`, the first one first; each key ends in one Finished or Failed."""

    def counters(self) -> dict[str, float]:
        """Counters since it was opened: prompt_tokens, cached_tokens, reading_tokens, restarts."""

    async def close(self) -> None:
        """Free the model."""


class ReadingText:
    """Extract the reading so far from what the AV has decoded so far."""

    def __init__(self) -> None:
        self.sent = ""

    def feed(self, decoded: str) -> str:
        """The bit that `decoded` (everything up to now) adds. What may yet turn out to be a tag is held back."""
        body = _body(decoded)
        end = body.find(CLOSING)
        ready = body[: end if end >= 0 else len(body) - _held_back(body)].rstrip()
        if ready.endswith("\ufffd"):  # a glyph whose last bytes are still to come
            ready = ready.rstrip("\ufffd")
        if not ready.startswith(self.sent):
            return ""
        bit, self.sent = ready[len(self.sent) :], ready
        return bit

    @staticmethod
    def closed(decoded: str) -> bool:
        """Return whether the closing tag has come."""
        return CLOSING in decoded

    @staticmethod
    def finish(decoded: str) -> tuple[str, bool]:
        """(reading, truncated): what stands between the tags, stripped; without a closing tag all that is there."""
        text, closing, _ = _body(decoded).partition(CLOSING)
        if not closing:
            text = text[: len(text) - _held_back(text)]
        return text.strip(), not closing


def _body(decoded: str) -> str:
    """Return what follows the opening tag; nothing while the tag is still being written; all of it if none was."""
    _, opening, after = decoded.partition(OPENING)
    if opening:
        return after.lstrip()
    start = decoded.lstrip()
    return "" if OPENING.startswith(start) else start


def _held_back(text: str) -> int:
    """Length of the longest end of `text` that begins the closing tag."""
    return next(
        (n for n in range(min(len(CLOSING) - 1, len(text)), 0, -1) if CLOSING.startswith(text[-n:])), 0
    )
