"""The lens map on the page: its frame, its switch, its table twin. The numbers come when they are looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from frontend import wording
from frontend.contexts.lens import MapContext, MapRow, MapTable
from frontend.contexts.links import Choice
from frontend.heatmap import METRICS
from frontend.layers import selected_row
from frontend.lenses import KINDS, lenses
from frontend.urls import urls

if TYPE_CHECKING:
    from frontend.view import View

SPAN = 8
"""Tokens on each side of the pinned one in the table."""


def lens_map(view: View) -> MapContext:
    """The map's frame at any stage."""
    a, look = view.analysis, view.look
    metric = METRICS[look.metric]
    position, kind = view.pinned, KINDS[view.which]
    return MapContext(
        source=urls.cells(a.id, look.metric, view.which) if view.lens is not None else "",
        cell=urls.cell(a.id, view.which),
        name=kind.title,
        lenses=lenses(view, look),
        about=kind.rows,
        metric=look.metric,
        metrics=[
            Choice(
                urls.analysis(a.id, look.but(metric=name)), urls.map(a.id, name), m.label, name == look.metric
            )
            for name, m in METRICS.items()
        ],
        title=metric.title,
        low=metric.low,
        high=metric.high,
        bins=wording.BINS,
        position=position,
        row=selected_row(view),
        table=urls.map_table(a.id, look.but(t=position)) if view.lens is not None else "",
        note="No lens was made before the analysis stopped." if view.final else "The layers are being read.",
    )


def map_table(view: View) -> MapTable:
    """The map around the pinned token as a table: the output first, then the layers downwards."""
    a, look = view.analysis, view.look
    frame = MapTable(
        name=KINDS[view.which].title,
        about=KINDS[view.which].rows,
        title=METRICS[look.metric].title,
        back=urls.analysis(a.id, look),
        note=view.map().note,
    )
    lens, pinned = view.lens, view.pinned
    if lens is None or pinned is None:
        return frame

    def around(position: int) -> str:
        return urls.map_table(a.id, look.but(t=min(lens.positions - 1, max(0, position))))

    first, last = max(0, pinned - SPAN), min(lens.positions, pinned + SPAN + 1)
    names = [*map(str, lens.layers[:-1]), "output"]
    return replace(
        frame,
        note="",
        tokens=[(position, view.name(position), position == pinned) for position in range(first, last)],
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
    match view.look.metric:
        case "top":
            return wording.quoted(lens.top(row, position)[0][1])
        case "prob":
            return wording.small(float(lens.prob[row, position]))
        case "rank":
            return f"{int(lens.rank[row, position]) + 1:,}"
        case metric:
            return wording.number(float(getattr(lens, metric)[row, position]))
