"""Notebooks: the list, the page of one, and the form that puts something into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from markupsafe import Markup

from frontend.analysis.contexts import ExportLink
from frontend.analysis.panel_contexts import ReadingContext
from frontend.edits.contexts import EditResult
from frontend.layout import ModelsContext
from frontend.lens.drawing import Drawing
from frontend.library.contexts import Option


@dataclass(frozen=True)
class ListedNotebook:
    """A line of the list."""

    href: str
    title: str
    count: str
    changed: str
    changed_iso: str


@dataclass(frozen=True)
class NewForm:
    """Values of the form that begins a notebook."""

    title: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NotebooksPage:
    """notebooks/notebooks.html"""

    items: list[ListedNotebook]
    older: str
    form: NewForm
    models: ModelsContext
    here: str = "notebooks"


@dataclass(frozen=True)
class TokenContext:
    """A token in its text, with its readings, what to hold their scores against, and the curve of the token that came
    next over the layers (None where there is no lens), in a drawing and in words.
    """

    before: str
    token: str
    after: str
    where: str
    readings: list[ReadingContext]
    baselines: list[str]
    curve: Drawing | None
    about_curve: str


@dataclass(frozen=True)
class WordFigureContext:
    """A tracked word: its map as a drawing, and what is found, in sentences."""

    drawing: Markup
    facts: list[str]


@dataclass(frozen=True)
class EntryForm:
    """Values of the form of an entry. `seen` is when the entry was changed last, as the one who types has seen it."""

    name: str = ""
    note: str = ""
    seen: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EntryContext:
    """An entry: its name, what it shows and where that stands, and its note. `save`, `up`, `down` and `remove` are
    addresses, empty in a file and where there is no way.
    """

    id: str
    name: str
    what: str
    href: str
    note: Markup
    missing: str = ""
    token: TokenContext | None = None
    edit: EditResult | None = None
    word: WordFigureContext | None = None
    sentences: list[str] = field(default_factory=list)
    form: EntryForm = field(default_factory=EntryForm)
    save: str = ""
    up: str = ""
    down: str = ""
    remove: str = ""


@dataclass(frozen=True)
class NotebookPage:
    """notebooks/notebook.html: `add` is where another note goes, empty where there is no room."""

    title: str
    changed: str
    entries: list[EntryContext]
    rename: str
    delete: str
    add: str
    form: EntryForm
    new_title: NewForm
    exports: list[ExportLink]
    models: ModelsContext
    here: str = "notebooks"


@dataclass(frozen=True)
class AddForm:
    """Values of the form that puts something into a notebook: the id of the notebook, or the title of a new one."""

    notebook: str = ""
    title: str = ""
    name: str = ""
    note: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AddPage:
    """notebooks/add.html: `entry` is what is put into a notebook, `action` where the form goes."""

    entry: EntryContext
    notebooks: list[Option]
    action: str
    form: AddForm
    models: ModelsContext
    here: str = "notebooks"


@dataclass(frozen=True)
class ExportedNotebook:
    """notebooks/export.html: a file that stands alone. `data` is an address that holds the notebook as JSON."""

    title: str
    entries: list[EntryContext]
    changed: datetime
    permalink: str
    data: str
    data_name: str
    exported: str
    policy: str
    icon: str
    style: Markup
