"""Links that change what is looked at, and what a form carries along."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.analysis.view import View
from frontend.urls import urls
from frontend.view_state import ViewState


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


def choice(view: View, view_state: ViewState, label: str, current: bool = False) -> Choice:
    """A link to another look at the analysis of `view`."""
    id = view.analysis.id
    return Choice(urls.analysis(id, view_state), urls.panel(id, view_state, whole=True), label, current)
