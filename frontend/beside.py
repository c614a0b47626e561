"""What pairs of the same target read at other layers, beneath the pinned token's own readings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from frontend import wording
from frontend.contexts.panel import BesideContext, LayerReadContext
from frontend.urls import urls
from server.analyses.schema import FINAL, Beside

if TYPE_CHECKING:
    from frontend.view import View


def beside(view: View, position: int) -> BesideContext:
    """One entry a layer, in their order."""
    waiting = any(there.sibling.status not in FINAL for there in view.beside)
    look = view.look.but(t=position)
    return BesideContext(
        position=position,
        again=urls.beside(view.analysis.id, position) if waiting else "",
        layers=[_layer(view, there, urls.analysis(there.sibling.id, look)) for there in view.beside],
    )


def _layer(view: View, there: Beside, href: str) -> LayerReadContext:
    from frontend.panel import reading_context

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


def _note(there: Beside) -> str:
    match there.sibling.status:
        case "queued":
            return "Waits for its pair, which is loaded when it is this one's turn."
        case "running":
            return "Being read."
        case "failed":
            return f"This failed: {wording.plain(there.error or '')}"
        case "cancelled":
            return "This was cancelled."
    return "This position was not read."
