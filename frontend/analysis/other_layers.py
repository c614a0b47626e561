"""Readings by pairs of other layers, beneath the pinned token's own."""

from __future__ import annotations

from dataclasses import replace

from frontend import formatting
from frontend.analysis.panel_contexts import LayerReadContext, OtherLayersContext
from frontend.analysis.reading import reading_context
from frontend.analysis.view import View
from frontend.urls import urls
from server.analyses.schema import LayerReadings
from server.jobs.progress import FINAL


def other_layers(view: View, position: int) -> OtherLayersContext:
    """One entry a layer, in their order."""
    waiting = any(there.sibling.status not in FINAL for there in view.other_layers)
    view_state = view.view_state.replace(t=position)
    return OtherLayersContext(
        position=position,
        again=urls.other_layers(view.analysis.id, position) if waiting else "",
        layers=[
            _layer(view, there, urls.analysis(there.sibling.id, view_state)) for there in view.other_layers
        ],
    )


def _layer(view: View, there: LayerReadings, href: str) -> LayerReadContext:
    # Its readings stand as far as its analysis has come, and are of its models: not of those of the one around them.
    own = {"status": there.sibling.status, "versions": there.versions}
    there_view = replace(view, analysis=view.analysis.model_copy(update=own))
    layer = there.sibling.layer
    return LayerReadContext(
        layer="another layer" if layer is None else f"layer {layer}",
        pair=there.sibling.pair,
        href=href,
        note="" if there.readings else _note(there),
        readings=[reading_context(there_view, reading) for reading in there.readings],
    )


def _note(there: LayerReadings) -> str:
    match there.sibling.status:
        case "queued":
            return "Waits for its pair, which is loaded when it is this one's turn."
        case "running":
            return "Being read."
        case "failed":
            return f"This failed: {formatting.plain(there.error or '')}"
        case "cancelled":
            return "This was cancelled."
    return "This position was not read."
