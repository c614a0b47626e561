"""Readings in fixed sentences, taken apart by the forms that their pair's card gives (`Card.sentences`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = re.compile(r"\{([^{}]+)\}")
_ITEM = re.compile(r'(".+?"|[^"]+?)(?:, (?:or )?| or |$)', re.DOTALL)
"""An item of a list: a quotation, which may hold commas and quotes of its own, or plain words; and what follows it."""


@dataclass(frozen=True)
class Said:
    """One of the things that a reading says, under the name that the form gives it."""

    name: str
    values: list[str]


def taken_apart(reading: str, forms: Sequence[str]) -> list[Said]:
    """Take a reading apart by the first form that fits; return nothing where none does."""
    for form in forms:
        found = _by(form, reading.strip())
        if found is not None:
            return found
    return []


def _by(form: str, text: str) -> list[Said] | None:
    """Look for the fixed words one after another: what stands between two of them is what is said."""
    opening, *rest = _NAME.split(form)
    if not text.startswith(opening):
        return None
    found: list[Said] = []
    at = len(opening)
    for name, fixed in zip(rest[::2], rest[1::2], strict=True):
        last = len(found) == len(rest) // 2 - 1
        end = len(text) - len(fixed) if last else text.find(fixed, at)
        if end <= at or not text.startswith(fixed, end):
            return None
        found.append(_said(name, text[at:end]))
        at = end + len(fixed)
    return found


def _said(name: str, value: str) -> Said:
    return Said(name[:-2], _ITEM.findall(value)) if name.endswith("[]") else Said(name, [value])
