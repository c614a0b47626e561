"""One reading in the making: ids in, bits of text out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from server.nla.checkpoints.profile import Form
from server.nla.verbalisers.base import CLOSING, OPENING, Finished, ReadingText


class ReadingDecoder:
    """One reading in the making, from the ids that an engine has decoded of it so far. In the form `bullets` there are
    no tags: the whole answer is the reading.
    """

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int], budget: int, form: Form = "tags") -> None:
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids
        self._budget = budget
        self._tagged = form == "tags"
        self._ids: list[int] = []
        self._decoded = ""
        self._text = ReadingText()
        self._stopped = False

    @property
    def ended(self) -> bool:
        """True if a stop token or the closing tag has come, or the budget is used up."""
        return self._stopped or ReadingText.closed(self._decoded) or len(self._ids) >= self._budget

    def add(self, ids: Sequence[int]) -> str:
        """Take the next ids; returns the bit that they add to the reading."""
        for token in ids:
            if self.ended:
                break
            if token in self._stop_ids:
                self._stopped = True
            else:
                self._ids.append(token)
        # All of it each time: what a byte token means can hang on those before it.
        decoded = self._tokenizer.decode(
            self._ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        self._decoded = decoded if self._tagged else OPENING + decoded
        return self._text.feed(self._decoded)

    def finish(self, key: Hashable) -> Finished:
        """The reading as it stands."""
        whole = self._stopped and not self._tagged
        text, truncated = ReadingText.finish(self._decoded + (CLOSING if whole else ""))
        return Finished(key, text, truncated, len(self._ids))
