"""The lens map on the page: its frame, its switch, its table twin. The numbers come when they are looked at."""

from __future__ import annotations

from dataclasses import replace

from frontend import formatting
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.lens.contexts import MapContext, MapRow, MapTable
from frontend.lens.heatmap import METRICS
from frontend.lens.layer_curve import selected_row
from frontend.lens.lens_choice import KINDS, lens_choices
from frontend.links import Choice
from frontend.urls import urls
from server.analyses.word_curves import LONGEST

SPAN = 8
"""Tokens on each side of the pinned one in the table."""


def lens_map(view: View) -> MapContext:
    """The map's frame at any stage."""
    a, view_state = view.analysis, view.view_state
    metric = METRICS[view_state.metric]
    position, kind = view.pinned, KINDS[view.which]
    return MapContext(
        source=urls.cells(a.id, view_state.metric, view.which) if view.lens is not None else "",
        cell=urls.cell(a.id, view.which),
        word=urls.word(a.id),
        longest=LONGEST + 1,
        name=kind.title,
        lenses=lens_choices(view, view_state),
        about=kind.rows,
        metric=view_state.metric,
        metrics=[
            Choice(
                urls.analysis(a.id, view_state.replace(metric=name)),
                urls.map(a.id, name),
                m.label,
                name == view_state.metric,
            )
            for name, m in METRICS.items()
        ],
        title=metric.title,
        low=metric.low,
        high=metric.high,
        bins=formatting.BINS,
        position=position,
        row=selected_row(view),
        table=urls.map_table(a.id, view_state.replace(t=position)) if view.lens is not None else "",
        note="No lens was made before the analysis stopped." if view.final else "The layers are being read.",
    )


def map_table(view: View) -> MapTable:
    """The map around the pinned token as a table: the output first, then the layers downwards."""
    a, view_state = view.analysis, view.view_state
    frame = MapTable(
        name=KINDS[view.which].title,
        about=KINDS[view.which].rows,
        title=METRICS[view_state.metric].title,
        back=urls.analysis(a.id, view_state),
        note=lens_map(view).note,
    )
    lens, pinned = view.lens, view.pinned
    if lens is None or pinned is None:
        return frame

    def around(position: int) -> str:
        return urls.map_table(a.id, view_state.replace(t=min(lens.positions - 1, max(0, position))))

    first, last = max(0, pinned - SPAN), min(lens.positions, pinned + SPAN + 1)
    names = [*map(str, lens.layers[:-1]), "output"]
    return replace(
        frame,
        note="",
        tokens=[
            (position, token_name(view, position), position == pinned) for position in range(first, last)
        ],
        rows=[
            MapRow(
                name=names[row],
                read=lens.layers[row] == a.layer,
                values=[_value(view, row, position) for position in range(first, last)],
            )
            for row in reversed(range(len(names)))
        ],
        earlier=around(pinned - 2 * SPAN - 1) if first > 0 else None,
        later=around(pinned + 2 * SPAN + 1) if last < lens.positions else None,
    )


def _value(view: View, row: int, position: int) -> str:
    lens = view.lens
    assert lens is not None
    match view.view_state.metric:
        case "top":
            return formatting.quoted(lens.top(row, position)[0][1])
        case "prob":
            return formatting.small(float(lens.prob[row, position]))
        case "rank":
            return f"{int(lens.rank[row, position]) + 1:,}"
        case metric:
            return formatting.number(float(getattr(lens, metric)[row, position]))
