"""A reading in fixed sentences, taken apart: what each of them says, without the words that are always the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = re.compile(r"\{([^{}]+)\}")
_LIST = re.compile(r'(?<="), (?:or )?|, (?:or )?(?=")|(?<=") or | or (?=")')


@dataclass(frozen=True)
class Said:
    """What a reading says under one name."""

    name: str
    values: list[str]


def compact(text: str, forms: Sequence[str]) -> list[Said]:
    """What the reading says, by the first of its pair's forms (`Card.sentences`) that fits; empty where none does."""
    for form in forms:
        found = _by(form, text.strip())
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
    return Said(name[:-2], _LIST.split(value)) if name.endswith("[]") else Said(name, [value])
