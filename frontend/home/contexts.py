"""The home page."""

from __future__ import annotations

from dataclasses import dataclass, field

from frontend.home.examples import Example
from frontend.home.forms import Form, Limits
from frontend.layout import ModelsContext
from frontend.library.contexts import ListedContext, Option


@dataclass(frozen=True)
class ForecastContext:
    """home/forecast.html: what the form's text would come to, in words, or why this server would not take it."""

    words: str = ""
    error: str = ""


@dataclass(frozen=True)
class Home:
    """home/home.html: `pairs` are offered where there are several, `along` those that may read another's
    forward pass.
    """

    form: Form
    examples: list[Example]
    recent: list[ListedContext]
    models: ModelsContext
    limits: Limits
    pairs: list[Option] = field(default_factory=list)
    along: list[Option] = field(default_factory=list)
    here: str = "new"
