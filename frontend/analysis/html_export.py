"""The analysis as one HTML file that opens without a server and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from markupsafe import Markup

from frontend import standalone, templating
from frontend.analysis.contexts import ExportedPage
from frontend.analysis.other_layers import other_layers
from frontend.analysis.page import analysis_page
from frontend.analysis.panel import panel
from frontend.analysis.panel_contexts import OtherLayersContext, PanelContext
from frontend.analysis.ribbon import ribbon_context
from frontend.analysis.ribbon_contexts import RibbonChunkContext, RibbonContext
from frontend.analysis.text_contexts import RowContext
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.edits import edit_context
from frontend.edits.contexts import ExportedEdit
from frontend.urls import urls
from frontend.view_state import ViewState
from server.analyses.layer_group import readings_at
from server.analyses.schema import Analysis, SiblingReadings, Token
from server.interventions.schema import Intervention
from server.jobs.progress import FINAL
from server.measurements.schema import Measurement, PendingMeasurement


def html_export(
    analysis: Analysis,
    origin: str,
    now: datetime,
    siblings: Sequence[SiblingReadings] = (),
    made: Sequence[Intervention] = (),
    causal: Measurement | PendingMeasurement | None = None,
) -> str:
    """The file. `origin` is the server's address, for the permalink.

    It holds the text, every reading with its scores (the `causal` ones too), a line of each along the text, the
    baselines, the edits that were `made`, and what `siblings` read at the same tokens. The curves are left out, which
    would make it several times as large; the JSON export has them.
    """
    origin = origin.rstrip("/")
    still = analysis.model_copy(
        update={"lens": None, "status": analysis.status if analysis.status in FINAL else "cancelled"}
    )
    view = View(
        still,
        edited=frozenset(edit.request.position for edit in made),
        causal=causal if isinstance(causal, Measurement) else None,
    )
    page = analysis_page(view)
    found = [_edit(view, one, origin) for one in made]
    style, script = standalone.style(), standalone.text("export.js")
    context = ExportedPage(
        title=page.title,
        said=page.facts,
        notice=_notice(analysis),
        rows=[_inside_row(row) for row in page.rows],
        turns=page.turns,
        colours=replace(page.legend, colours=()),
        panels=[
            (
                replace(
                    _inside_panel(panel(view, token.position)), beside=_beside(view, siblings, token, origin)
                ),
                [edit for edit in found if edit.href == urls.inside(token.position)],
            )
            for token in still.tokens
        ],
        edits=found,
        ribbon=_inside_ribbon(ribbon_context(replace(view, view_state=ViewState(ribbon="on")))),
        first=view.pinned,
        all=[replace(line, href=urls.inside(line.position)) for line in page.all],
        permalink=origin + urls.analysis(analysis.id),
        source=_source(analysis, now),
        exported=f"{now:%d %b %Y}".lstrip("0"),
        policy=standalone.policy(style, script),
        icon=standalone.icon(),
        style=Markup(style),
        script=Markup(script),
    )
    return templating.render("analysis/export.html", context)


def _inside_row(row: RowContext) -> RowContext:
    """Its tokens lead to panels of the same file."""
    tokens = [replace(token, href=urls.inside(token.position), panel="") for token in row.tokens]
    return replace(row, tokens=tokens)


def _inside_ribbon(shown: RibbonContext) -> RibbonContext:
    """Its lines lead to panels of the same file; which of them is shown is for the file to mark."""
    turns = [
        replace(turn, open=not turn.template, chunks=[_inside_chunk(chunk) for chunk in turn.chunks])
        for turn in shown.turns
    ]
    return replace(shown, turns=turns)


def _inside_chunk(chunk: RibbonChunkContext) -> RibbonChunkContext:
    items = [
        replace(
            item,
            open=False,
            lines=[replace(line, href=urls.inside(line.position), pinned=False) for line in item.lines],
        )
        for item in chunk.items
    ]
    return replace(chunk, items=items)


def _inside_panel(shown: PanelContext) -> PanelContext:
    places = (shown.position - 1, shown.position + 1)
    steps = [
        replace(step, href=step.href and urls.inside(place), panel="")
        for step, place in zip(shown.steps, places, strict=True)
    ]
    return replace(shown, steps=steps, about="")


def _beside(view: View, siblings: Sequence[SiblingReadings], token: Token, origin: str) -> OtherLayersContext:
    """Return the siblings' readings of a token, as the page shows them; their links lead to the server."""
    there = [found for sibling in siblings if (found := readings_at(sibling, token)) is not None]
    shown = other_layers(replace(view, other_layers=there), token.position)
    return replace(
        shown, again="", layers=[replace(layer, href=origin + layer.href) for layer in shown.layers]
    )


def _edit(view: View, made: Intervention, origin: str) -> ExportedEdit:
    position, result = made.request.position, edit_context.result(view, made)
    return ExportedEdit(
        token=token_name(view, position),
        href=urls.inside(position),
        label=edit_context.label(made),
        result=replace(
            result,
            json=origin + result.json,
            vector=result.vector and (result.vector[0], origin + result.vector[1]),
            replay=result.replay and replace(result.replay, again=""),
            notebook="",
        ),
        permalink=origin + urls.analysis(view.analysis.id, ViewState(t=position, edit=made.id)),
    )


def _notice(a: Analysis) -> str:
    """Say what is missing, and why."""
    if a.status == "done":
        return ""
    total = f" of {a.progress.total}" if a.progress.total else ""
    readings = f"{a.progress.done}{total} readings are here."
    why = {
        "failed": f"This analysis stopped on an error: {a.error}",
        "cancelled": "This analysis was cancelled.",
    }
    return f"{why.get(a.status, 'This analysis was not finished when it was exported.')} {readings}"


def _source(a: Analysis, now: datetime) -> list[tuple[str, str]]:
    layer = "" if a.layer is None else f", layer {a.layer}"
    variance = "" if a.fve_variance is None else f", V = {a.fve_variance:g}"
    return [
        ("Pair", f"{a.pair}{layer}{variance}"),
        ("Analysed", f"{a.created:%Y-%m-%d %H:%M} UTC"),
        ("Exported", f"{now:%Y-%m-%d %H:%M} UTC"),
        (
            "Versions",
            ", ".join(f"{name} {version}" for name, version in a.versions.items()) or "not known yet",
        ),
    ]
