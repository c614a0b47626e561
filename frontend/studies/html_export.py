"""A study as one HTML file that opens without a server and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice

from markupsafe import Markup

from frontend import formatting, standalone, templating
from frontend.studies import cases
from frontend.studies.contexts import Card, CaseRow, CasesContext, ExportedStudy, FindingsContext, ReadRow
from frontend.studies.page import facts, findings, title
from frontend.urls import urls
from server.studies import yaml_file
from server.studies.schema import Study

MOST_READINGS = 10_000
"""Readings whose words are in the file: more make it too large for a browser."""


def html_export(study: Study, origin: str, now: datetime) -> str:
    """The file. `origin` is the server's address, for the permalinks.

    It holds what the page shows, all cases in one table, the words of the readings, and the declaration.
    """
    origin, style = origin.rstrip("/"), standalone.style()
    read = list(islice(_readings(study, origin), MOST_READINGS + 1))
    context = ExportedStudy(
        title=title(study),
        facts=facts(study),
        notice=_notice(study),
        findings=_absolute(findings(study), origin),
        cases=CasesContext(
            multiplication=study.kind == "multiplication",
            capitals=study.kind == "capitals",
            filters=[],
            rows=[_row(cases.row(case), origin) for case in study.cases],
            found="",
        ),
        readings=read[:MOST_READINGS],
        cut=f"The first {MOST_READINGS:,}; the CSV has them all." if len(read) > MOST_READINGS else "",
        declaration=_declaration(study),
        permalink=origin + urls.study(study.id),
        source=_source(study, now),
        exported=f"{now:%d %b %Y}".lstrip("0"),
        policy=standalone.policy(style),
        icon=standalone.icon(),
        style=Markup(style),
    )
    return templating.render("studies/export.html", context)


def _notice(study: Study) -> str:
    """Say what is missing, and why."""
    if study.status == "done":
        return ""
    why = {
        "failed": f"This study stopped on an error: {formatting.plain(study.error or '')}",
        "cancelled": "This study was cancelled.",
    }
    told = why.get(study.status, "This study was not finished when it was exported.")
    return f"{told} {len(study.cases):,} of {study.progress.total or len(study.cases):,} cases are here."


def _declaration(study: Study) -> str:
    """The declaration; where letters would not be seen as they are, all that are not ASCII are written out."""
    written = yaml_file.written(study.request)
    return written if written == formatting.plain(written) else yaml_file.written(study.request, ascii=True)


def _absolute(found: FindingsContext, origin: str) -> FindingsContext:
    """Its links lead to the server."""
    return replace(
        found,
        striking=[_card(card, origin) for card in found.striking],
        random=[_card(card, origin) for card in found.random],
    )


def _card(card: Card, origin: str) -> Card:
    readings = [replace(r, href=r.href and origin + r.href) for r in card.readings]
    return Card(_row(card.row, origin), readings)


def _row(row: CaseRow, origin: str) -> CaseRow:
    edited = [replace(edit, href=edit.href and origin + edit.href) for edit in row.edited]
    return replace(row, href=row.href and origin + row.href, edited=edited)


def _readings(study: Study, origin: str) -> Iterator[ReadRow]:
    for case in study.cases:
        label = cases.row(case).label
        for where, text, href in cases.words(case):
            yield ReadRow(label, where, text, href and origin + href)


def _source(study: Study, now: datetime) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in study.versions.items())
    layer = "" if study.layer is None else f", layer {study.layer}"
    return [
        ("Pair", f"{study.pair}{layer}"),
        ("Asked", f"{study.created:%Y-%m-%d %H:%M} UTC"),
        ("Exported", f"{now:%Y-%m-%d %H:%M} UTC"),
        ("Versions", versions or "not known yet"),
    ]
