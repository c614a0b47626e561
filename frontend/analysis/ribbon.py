"""The ribbon of an analysis as the page shows it: turns, and in them tokens and spans of tokens with a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from frontend import formatting
from frontend.analysis import mean_scores
from frontend.analysis.ribbon_contexts import (
    RibbonChunkContext,
    RibbonContext,
    RibbonItemContext,
    RibbonLineContext,
    RibbonTurnContext,
)
from frontend.analysis.tokens import speaker, token_state
from frontend.analysis.view import View
from frontend.links import Choice
from frontend.urls import urls
from frontend.view_state import ViewState
from server.analyses.ribbon import ribbon as made_of
from server.analyses.ribbon_schema import Ribbon, RibbonLine, RibbonSpan, RibbonTurn

CHUNK = 40
"""Tokens of a turn that a browser lays out, and the stream sends, as one."""
NOTES = {
    "failed": "its reading failed",
    "scoring": "read, not yet scored",
    "waiting": "not yet read",
    "skipped": "not asked for",
}


def ribbon_context(view: View) -> RibbonContext:
    """The ribbon where it is shown, else its switch alone, which costs nothing."""
    a, shown = view.analysis, view.view_state.ribbon == "on"
    other = "off" if shown else "on"
    turned = view.view_state.replace(ribbon=other, t=view.pinned)
    made = made_of(a) if shown and a.tokens else None
    turns = list(_turns(view, made)) if made is not None else []
    return RibbonContext(
        shown=shown,
        switch=Choice(
            urls.analysis(a.id, turned) + "#ribbon",
            urls.ribbon(a.id, other),
            "Hide" if shown else "Show",
            False,
        ),
        layers=_layers(view) if shown else (),
        table=urls.readings(a.id) if a.readings else "",
        merged=_merged(made) if made is not None else "",
        note="" if turns or not shown else "The lines come with the readings.",
        turns=turns,
    )


def _layers(view: View) -> list[Choice]:
    """Links to what other layers read along the same text, and the layer that is shown among them."""
    a = view.analysis
    if not a.siblings:
        return []
    there = ViewState(t=view.pinned, ribbon="on")
    found = [(s.layer, s.pair, urls.analysis(s.id, there) + "#ribbon", False) for s in a.siblings]
    found.append((a.layer, a.pair, urls.analysis(a.id, view.view_state) + "#ribbon", True))
    ordered = sorted(found, key=lambda one: (one[0] if one[0] is not None else -1, one[1]))
    return [
        Choice(href, "", pair if layer is None else f"layer {layer}", current)
        for layer, pair, href, current in ordered
    ]


def _merged(made: Ribbon) -> str:
    """Say how many tokens stand in spans, and how many would by chance; empty where none do."""
    if not made.merged:
        return ""
    chance = formatting.number(made.merged_by_chance, 0)
    return f"{made.merged} tokens stand in spans; with the readings in another order, {chance} would."


def _turns(view: View, made: Ribbon) -> Iterator[RibbonTurnContext]:
    """The turns in order, with the template's tokens that stand before each folded up between them."""
    raw = any(t.role == "text" for t in view.analysis.tokens)
    start = 0
    for n, turn in enumerate(made.turns):
        yield from _template(view, made.lines[start : turn.first])
        yield _turn(view, made, turn, n, speaker(turn.role, raw and turn.kind == "generated"))
        start = turn.last + 1
    yield from _template(view, made.lines[start:])


def _turn(view: View, made: Ribbon, turn: RibbonTurn, n: int, label: str) -> RibbonTurnContext:
    content = [t.position for t in view.analysis.tokens[turn.first : turn.last + 1] if t.content]
    scores = mean_scores.of(view, content)
    count = turn.last - turn.first + 1
    said = formatting.counted(count, "token")
    if scores:
        said += f", {mean_scores.sentence(view, scores)}"
    items = list(_items(view, made, turn.first, turn.last))
    chunks: dict[int, list[RibbonItemContext]] = {p // CHUNK: [] for p in range(turn.first, turn.last + 1)}
    for item in items:
        chunks[item.lines[0].position // CHUNK].append(item)
    return RibbonTurnContext(
        id=f"ribbon-turn-{n}",
        label=label,
        said=said,
        template=False,
        open=True,
        chunks=[RibbonChunkContext(f"ribbon-{n}-{number}", inside) for number, inside in chunks.items()],
    )


def _template(view: View, lines: Sequence[RibbonLine]) -> Iterator[RibbonTurnContext]:
    """Some tokens of the template; none where there are none."""
    if not lines:
        return
    first, count = lines[0].position, len(lines)
    items = [RibbonItemContext([_line(view, line)]) for line in lines]
    yield RibbonTurnContext(
        id=f"ribbon-template-{first}",
        label="template",
        said=formatting.counted(count, "token"),
        template=True,
        open=any(line.position == view.pinned for line in lines),
        chunks=[RibbonChunkContext(f"ribbon-{first}", items)],
    )


def _items(view: View, made: Ribbon, first: int, last: int) -> Iterator[RibbonItemContext]:
    spans = {span.first: span for span in made.spans}
    position = first
    while position <= last:
        span = spans.get(position)
        if span is None:
            yield RibbonItemContext([_line(view, made.lines[position])])
            position += 1
        else:
            yield _span(view, span, made.lines[span.first : span.last + 1])
            position = span.last + 1


def _span(view: View, span: RibbonSpan, lines: Sequence[RibbonLine]) -> RibbonItemContext:
    inside = range(span.first, span.last + 1)
    scores = mean_scores.of(view, inside)
    return RibbonItemContext(
        lines=[_line(view, line) for line in lines],
        place=f"{span.first}\u2013{span.last}",
        text=formatting.plain(span.text),
        direction=formatting.direction(span.text),
        score=mean_scores.figure(view, scores),
        open=view.pinned is not None and view.pinned in inside,
    )


def _line(view: View, line: RibbonLine) -> RibbonLineContext:
    state, colour = token_state(view, line.position)
    text = formatting.plain(line.text)
    return RibbonLineContext(
        position=line.position,
        token=formatting.quoted(line.token) or "\u2205",
        colour=f"s{colour}" if colour is not None else "",
        href=urls.analysis(view.analysis.id, view.view_state.replace(t=line.position)),
        text=text,
        note="" if text else NOTES.get(state, ""),
        direction=formatting.direction(text),
        score=mean_scores.figure(view, mean_scores.of(view, [line.position])),
        pinned=line.position == view.pinned,
    )
