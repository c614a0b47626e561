"""Answers of bounded size: what does not fit is left out, with where to go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import to_json

LIMIT = 20_000
"""Characters of an answer's JSON: 5,000 to 8,000 tokens of a client's context window."""
LONG_TEXT = 1_200
"""Characters of one text in an answer, such as a reading; a longer one is cut."""
SHORT_TEXT = 160
"""Characters of a title or an excerpt."""


class Part(BaseModel):
    """Part of an answer. What is not known or not measured is left out."""

    @model_serializer(mode="wrap")
    def _without_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class Answer(Part):
    """An answer and where a person can see the same."""

    permalink: str = Field(description="The page where a person sees the same.")
    note: str | None = Field(default=None, description="What was left out or is to be kept in mind.")


class Page(Answer):
    """One page of a list."""

    total: int = Field(default=0, description="Entries in all.")
    next: int | None = Field(default=None, description="There is more: ask again with this `offset`.")


A = TypeVar("A", bound=Answer)
P = TypeVar("P", bound=Page)


def size(value: BaseModel | Part) -> int:
    """Characters of its JSON."""
    return len(value.model_dump_json())


def how_many(values: Sequence[Any], room: int) -> int:
    """Count the values, from the first, whose JSON fits into `room` characters."""
    for n, value in enumerate(values):
        room -= len(to_json(value).decode()) + 1
        if room < 0:
            return n
    return len(values)


def page_of(make: Callable[[list[Any]], P], values: Sequence[Any], offset: int, noun: str) -> P:
    """The page that begins at `offset`, with as many values as fit. `make` makes it of some of them."""
    answer = make([])
    answer.total, answer.next = len(values), len(values)
    rest = values[offset:]
    count = how_many(rest, LIMIT - size(answer) - 2 * SHORT_TEXT)
    count = max(count, min(1, len(rest)))
    filled = make(list(rest[:count]))
    left = len(rest) - count
    said = f"{left} more {noun} were left out: ask again with offset {offset + count}." if left else None
    note = " ".join(filter(None, [filled.note, said])) or None
    return filled.model_copy(
        update={"total": len(values), "next": offset + count if left else None, "note": note}
    )


def cut(text: str, limit: int = LONG_TEXT) -> str:
    """A text that is no longer than `limit` characters and a few words on what is missing."""
    left = len(text) - limit
    return text if left <= 0 else f"{text[:limit]}… ({left:,} more characters on the page)"


def figure(value: float | None) -> float | None:
    """A number of four significant digits; None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")


def interval(values: tuple[float, float] | None) -> tuple[float, float] | None:
    """Both ends of an interval, of four significant digits."""
    return None if values is None else (float(f"{values[0]:.4g}"), float(f"{values[1]:.4g}"))


def figures(values: Sequence[float]) -> list[float]:
    """Numbers of four significant digits."""
    return [float(f"{value:.4g}") for value in values]
