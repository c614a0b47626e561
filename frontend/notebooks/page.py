"""The pages of notebooks: the list, one of them, the form that puts something into one, and the file."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from markupsafe import Markup

from frontend import formatting, standalone, templating
from frontend.analysis.contexts import ExportLink
from frontend.layout import ModelsContext
from frontend.library.contexts import Option
from frontend.library.listing import ago
from frontend.notebooks.contexts import (
    AddForm,
    AddPage,
    EntryForm,
    ExportedNotebook,
    ListedNotebook,
    NewForm,
    NotebookPage,
    NotebooksPage,
)
from frontend.notebooks.entries import entry_context
from frontend.urls import urls
from server.notebooks.contents import Shown, data_of
from server.notebooks.schema import ENTRIES, Notebook, NotebookSummary

LISTED = 50


def notebooks_page(
    found: Sequence[NotebookSummary], models: ModelsContext, now: datetime, form: NewForm | None = None
) -> NotebooksPage:
    """The list; `found` has one more than it shows where there are older ones."""
    shown = found[:LISTED]
    return NotebooksPage(
        items=[_line(notebook, now) for notebook in shown],
        older=urls.notebooks(shown[-1].id) if len(found) > LISTED else "",
        form=form or NewForm(),
        models=models,
    )


def _line(notebook: NotebookSummary, now: datetime) -> ListedNotebook:
    return ListedNotebook(
        href=urls.notebook(notebook.id),
        title=formatting.quoted(notebook.title, 200),
        count=f"{notebook.count} {'entry' if notebook.count == 1 else 'entries'}",
        changed=f"changed {ago(notebook.changed, now)}",
        changed_iso=notebook.changed.isoformat(),
    )


def notebook_page(
    notebook: Notebook,
    contents: Sequence[Shown],
    models: ModelsContext,
    *,
    added: EntryForm | None = None,
    changed: tuple[str, EntryForm] | None = None,
    new_title: NewForm | None = None,
) -> NotebookPage:
    """One of them. `added`, `changed` (by the id of its entry) and `new_title` are forms that could not be used."""
    entries = []
    for number, shown in enumerate(contents):
        id, last = shown.entry.id, number == len(contents) - 1
        context = replace(
            entry_context(shown),
            save=urls.entry(notebook.id, id),
            up=urls.move_entry(notebook.id, id, number - 1) if number else "",
            down="" if last else urls.move_entry(notebook.id, id, number + 1),
            remove=urls.remove_entry(notebook.id, id),
        )
        if changed is not None and changed[0] == id:
            context = replace(context, form=changed[1])
        entries.append(context)
    return NotebookPage(
        title=formatting.plain(notebook.title),
        changed=f"{notebook.changed:%d %b %Y, %H:%M} UTC".lstrip("0"),
        entries=entries,
        rename=urls.rename_notebook(notebook.id),
        delete=urls.delete_notebook(notebook.id),
        add=urls.entries(notebook.id) if len(entries) < ENTRIES else "",
        form=added or EntryForm(),
        new_title=new_title or NewForm(notebook.title),
        exports=[
            ExportLink(
                "HTML",
                "all of it as one file that opens without this server",
                urls.notebook_html(notebook.id),
            ),
            ExportLink("JSON", "the notes, and the numbers behind them", urls.notebook_json(notebook.id)),
        ],
        models=models,
    )


def add_page(
    shown: Shown,
    found: Sequence[NotebookSummary],
    action: str,
    models: ModelsContext,
    form: AddForm | None = None,
) -> AddPage:
    """The form that puts something into a notebook, with a preview; of the notebooks, the last changed comes first."""
    form = form or AddForm(notebook=found[0].id if found else "")
    options = [Option(each.id, formatting.quoted(each.title, 80), each.id == form.notebook) for each in found]
    return AddPage(entry_context(shown), options, action, form, models)


def html_export(notebook: Notebook, contents: Sequence[Shown], origin: str, now: datetime) -> str:
    """The file: what the page shows, and the notebook as JSON. `origin` is the server's address, for the permalinks."""
    origin, style = origin.rstrip("/"), standalone.style()
    data = json.dumps(data_of(notebook, list(contents), origin), allow_nan=False).encode()
    context = ExportedNotebook(
        title=formatting.plain(notebook.title),
        entries=[entry_context(shown, origin) for shown in contents],
        changed=notebook.changed,
        permalink=origin + urls.notebook(notebook.id),
        data="data:application/json;base64," + base64.b64encode(data).decode(),
        data_name=f"notebook_{notebook.id}.json",
        exported=f"{now:%d %b %Y}".lstrip("0"),
        policy=standalone.policy(style),
        icon=standalone.icon(),
        style=Markup(style),
    )
    return templating.render("notebooks/export.html", context)
