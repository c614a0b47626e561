"""The figure of the layers at the pinned token: its curve, what stands beside it, and one layer's guesses."""

from __future__ import annotations

from frontend import formatting
from frontend.analysis.token_names import next_token_name, token_name
from frontend.analysis.view import View
from frontend.lens import charts
from frontend.lens.contexts import CellContext, Guess, KeyContext, LayersContext
from frontend.lens.drawing import drawing
from frontend.lens.lens_choice import KINDS, lens_choices
from frontend.lens.typed_words import likeliest
from frontend.links import Choice, Field, choice
from frontend.urls import urls
from frontend.view_state import PINS, ViewState
from server.analyses.word_curves import MOST

SCALES = {"linear": "probability", "log": "probability, logarithmic", "rank": "rank"}


def layer_curve(view: View, position: int, following: str) -> LayersContext:
    """Everything about the layers at one position; `following` names the token that came next."""
    curve = _curve(view, position, following)
    view_state = view.view_state.replace(t=position)
    last, row = len(view.analysis.tokens) - 1, selected_row(view)
    return LayersContext(
        position=position,
        curve=curve,
        drawing=drawing(curve) if curve else None,
        label=_label(view, curve),
        note="No lens was made before the analysis stopped." if view.final else "The layers are being read.",
        following=following,
        is_last=position == last,
        scales=[
            choice(view, view_state.replace(scale=name), label, view_state.scale == name)
            for name, label in SCALES.items()
        ],
        lenses=lens_choices(view, view_state) if curve else [],
        about=KINDS[view.which].curve,
        keys=_keys(view, curve, view_state) if curve else [],
        pin=_pin(view, position, view_state) if curve else None,
        likeliest=_likeliest(view, position, view_state) if curve else [],
        ask=urls.analysis(view.analysis.id) if curve and len(view_state.words) < MOST else "",
        ask_panel=urls.panel(view.analysis.id),
        fields=_fields(view_state),
        said=_said(view, view_state),
        cell=cell(view, position, row) if curve and row is not None else None,
    )


def _curve(view: View, position: int, following: str) -> charts.Curve | None:
    lens = view.lens
    if lens is None or position >= lens.positions:
        return None
    follows: list[tuple[charts.Kind, str, int]] = [("next", following, position)]
    follows += [("pin", next_token_name(view, pin), pin) for pin in view.pins if pin != position]
    series = [
        charts.Series(kind, name, lens.curve(at, "prob"), [int(r) for r in lens.curve(at, "rank")], at)
        for kind, name, at in follows
    ]
    series += [
        charts.Series(
            "word",
            formatting.quoted(word.word),
            word.prob,
            word.rank,
            word=word.word,
            note=formatting.first_of(word.count),
        )
        for word in view.words
        if len(word.prob) == len(lens.layers)
    ]
    return charts.Curve(
        layers=lens.layers,
        series=series,
        top=[formatting.quoted(lens.top(row, position)[0][1]) for row in range(len(lens.layers))],
        scale=view.view_state.scale,
        read=view.analysis.layer,
        also_read=[s.layer for s in view.analysis.siblings if s.layer is not None],
        selected=view.view_state.layer,
    )


def _keys(view: View, curve: charts.Curve, view_state: ViewState) -> list[KeyContext]:
    """List each line with its last value and the link that removes it."""
    keys = []
    others = {word.word: word.other for word in view.words}
    for series in curve.series:
        match series.kind:
            case "next":
                without, where = None, ""
            case "pin":
                without = view_state.replace(pins=tuple(p for p in view_state.pins if p != series.position))
                where = f"after position {series.position}"
            case _:
                without, where = (
                    view_state.replace(words=tuple(w for w in view_state.words if w != series.word)),
                    "compared",
                )
        other = others.get(series.word) if series.kind == "word" else None
        keys.append(
            KeyContext(
                name=series.name,
                note=series.note,
                where=where,
                value=formatting.small(series.prob[-1]),
                rank=f"rank {series.rank[-1] + 1:,}",
                remove=choice(view, without, "Take away") if without else None,
                other=_instead(view, view_state, series.word, other.word) if other else None,
                other_where="" if other is None else formatting.VARIANTS[other.variant or "plain"],
                other_value=formatting.small(other.prob) if other else "",
            )
        )
    return keys


def _instead(view: View, view_state: ViewState, word: str, other: str) -> Choice | None:
    """The other variant of a compared word in its place; nothing where both are compared."""
    if other in view_state.words:
        return None
    words = tuple(other if w == word else w for w in view_state.words)
    return choice(view, view_state.replace(words=words), formatting.quoted(other))


def _likeliest(view: View, position: int, view_state: ViewState) -> list[Choice]:
    """List the likeliest tokens after the token, without those that are drawn already."""
    if view.lens is None or len(view_state.words) >= MOST:
        return []
    last, tokens = len(view.lens.layers) - 1, view.analysis.tokens
    drawn = {*view_state.words, tokens[position + 1].text if position + 1 < len(tokens) else ""}
    if position == len(tokens) - 1:
        drawn.add(view.lens.top(last, position)[0][1])  # there the first line is of the first choice
    return [
        choice(view, view_state.replace(words=(*view_state.words, text)), formatting.quoted(text))
        for text, _ in likeliest(view.lens, position)
        if text not in drawn
    ]


def _pin(view: View, position: int, view_state: ViewState) -> Choice | None:
    if position in view_state.pins:
        return choice(
            view,
            view_state.replace(pins=tuple(p for p in view_state.pins if p != position)),
            "Unpin its curve",
            True,
        )
    if len(view_state.pins) >= PINS:
        return None
    return choice(view, view_state.replace(pins=(*view_state.pins, position)), "Keep its curve")


def _fields(view_state: ViewState) -> list[Field]:
    """List the hidden fields by which a form keeps the rest of the view."""
    fields = [
        Field("t", str(view_state.t)),
        Field("p", ",".join(map(str, view_state.pins))),
        Field("metric", view_state.metric),
    ]
    fields += [Field("scale", view_state.scale), Field("lens", view_state.lens)]
    fields += [Field("layer", "" if view_state.layer is None else str(view_state.layer))]
    return fields + [Field("w", word) for word in view_state.words]


def _said(view: View, view_state: ViewState) -> list[str]:
    """List the messages on parts of the address that cannot be shown, and on words of more than one token."""
    last = len(view.analysis.tokens) - 1
    said = [
        f"There is no position {pin} to pin: the text ends at {last}."
        for pin in view_state.pins
        if pin > last
    ]
    if view_state.lens != view.which and view.lens is not None:
        coming = not view.final and "tuned_lens" in view.analysis.versions
        why = "The tuned lens is made after the readings" if coming else "This analysis has no tuned lens"
        said.append(f"{why}; the logit lens is shown.")
    for word in view.words:
        if len(word.parts) > 1:
            parts = ", ".join(formatting.quoted(part) for part in word.parts)
            said.append(
                f"{formatting.quoted(word.word)} is {len(word.parts)} tokens ({parts}): the line follows the first."
            )
    return [*said, *([view.words_note] if view.words_note else [])]


def selected_row(view: View) -> int | None:
    """The row of the selected layer; where none was chosen, the one that is read. None until there is a lens."""
    lens = view.lens
    if lens is None:
        return None
    chosen = view.view_state.layer if view.view_state.layer is not None else view.analysis.layer
    last = len(lens.layers) - 1
    return last if chosen is None else min(chosen, last)


def cell(view: View, position: int, row: int) -> CellContext:
    """One layer at one position: its first guesses, and its figures for the token that came next."""
    lens = view.lens
    assert lens is not None, "there is no cell before there is a lens"
    count = len(lens.layers)
    is_output = row == count - 1
    view_state = view.view_state.replace(t=position)
    steps = [
        None if not 0 <= to < count else choice(view, view_state.replace(layer=to), label)
        for to, label in ((row + 1, "Layer above"), (row - 1, "Layer below"))
    ]
    prob, rank = float(lens.prob[row, position]), int(lens.rank[row, position])
    return CellContext(
        position=position,
        row=row,
        name="the model's output" if is_output else f"layer {lens.layers[row]}",
        token=token_name(view, position),
        following=next_token_name(view, position),
        guesses=[
            Guess(formatting.quoted(text), formatting.small(p), max(0, min(100, round(100 * p))))
            for _, text, p in lens.top(row, position)
        ],
        figures=[
            ("probability", formatting.small(prob)),
            ("rank", f"{rank + 1:,}"),
            ("entropy", f"{formatting.number(float(lens.entropy[row, position]))} nats"),
            ("KL to the output", f"{formatting.number(float(lens.kl[row, position]))} nats"),
        ],
        above=steps[0],
        below=steps[1],
    )


def _label(view: View, curve: charts.Curve | None) -> str:
    """The curve in one sentence, for those who do not see it."""
    if curve is None:
        return ""
    own, read = curve.series[0], view.analysis.layer
    row = curve.layers.index(read) if read in curve.layers[:-1] else None
    middle = "" if row is None else f", {formatting.small(own.prob[row])} at layer {read} where it is read"
    others = f" {len(curve.series) - 1} more lines are in the table." if len(curve.series) > 1 else ""
    return (
        f"Probability of {own.name} over {len(own.prob)} layers: {formatting.small(own.prob[0])} at the first"
        f"{middle}, {formatting.small(own.prob[-1])} in the model's own output, rank {own.rank[-1] + 1}.{others}"
    )
