"""Regular expressions from anybody, bounded in time: one that backtracks for ever is given up."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import regex

from server.errors import BadInput

SECONDS = 0.5
"""How long a text may take to be searched."""
MOST_REPEATS = 10_000
"""Repetitions of an exact number of times, all multiplied: an expression is unrolled by them before it is searched."""
_REPEATS = re.compile(r"\{\s*([0-9]{1,12})\s*[,}]")


class TooSlow(Exception):
    """A search was given up."""


def compiled(pattern: str, field: str) -> regex.Pattern[str]:
    """The pattern, in any capitals. Raises BadInput for one that is none, or that would be huge."""
    if math.prod(int(times) for times in _REPEATS.findall(pattern) if int(times) > 0) > MOST_REPEATS:
        raise BadInput(field, f"Its repetitions {{n}} multiply to more than {MOST_REPEATS:,}: repeat less.")
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise BadInput(field, f"This is no regular expression: {error}.") from error


def finds(pattern: regex.Pattern[str], text: str) -> bool:
    """Return whether the pattern is found. Raises TooSlow."""
    return next(spans(pattern, text), None) is not None


def spans(pattern: regex.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    """The (start, end) of what it finds, one after the other. Raises TooSlow."""
    try:
        for found in pattern.finditer(text, timeout=SECONDS, concurrent=True):
            yield found.span()
    except TimeoutError as error:
        raise TooSlow(
            f"The regular expression {pattern.pattern!r} took longer than {SECONDS} s and was given up."
        ) from error
