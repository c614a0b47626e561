"""Links that change what is looked at, and what a form carries along."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A link to another look at the same analysis: `href` for the whole page, `panel` for the part that changes."""

    href: str
    panel: str
    label: str
    current: bool


@dataclass(frozen=True)
class Field:
    """A hidden field of a form."""

    name: str
    value: str
