"""The figure of the layers at the pinned token: its curve, what stands beside it, and one layer's guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend import charts, wording
from frontend.contexts.lens import CellContext, Guess, KeyContext, LayersContext
from frontend.contexts.links import Choice, Field
from frontend.drawing import drawing
from frontend.lenses import KINDS, lenses
from frontend.look import PINS, Look
from frontend.typed_words import likeliest
from frontend.urls import urls
from server.analyses.words import MOST

if TYPE_CHECKING:
    from frontend.view import View

SCALES = {"linear": "probability", "log": "probability, logarithmic", "rank": "rank"}


def layers(view: View, position: int, following: str) -> LayersContext:
    """Everything about the layers at one position; `following` names the token that came next."""
    curve = _curve(view, position, following)
    look = view.look.but(t=position)
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
            view.choice(look.but(scale=name), label, look.scale == name) for name, label in SCALES.items()
        ],
        lenses=lenses(view, look) if curve else [],
        about=KINDS[view.which].curve,
        keys=_keys(view, curve, look) if curve else [],
        pin=_pin(view, position, look) if curve else None,
        likeliest=_likeliest(view, position, look) if curve else [],
        ask=urls.analysis(view.analysis.id) if curve and len(look.words) < MOST else "",
        ask_panel=urls.panel(view.analysis.id),
        fields=_fields(look),
        said=_said(view, look),
        cell=cell(view, position, row) if curve and row is not None else None,
    )


def _curve(view: View, position: int, following: str) -> charts.Curve | None:
    lens = view.lens
    if lens is None or position >= lens.positions:
        return None
    follows: list[tuple[charts.Kind, str, int]] = [("next", following, position)]
    follows += [("pin", view.next_name(pin), pin) for pin in view.pins if pin != position]
    series = [
        charts.Series(kind, name, lens.curve(at, "prob"), [int(r) for r in lens.curve(at, "rank")], at)
        for kind, name, at in follows
    ]
    series += [
        charts.Series(
            "word",
            wording.quoted(word.word),
            word.prob,
            word.rank,
            word=word.word,
            note=wording.first_of(word.count),
        )
        for word in view.words
        if len(word.prob) == len(lens.layers)
    ]
    return charts.Curve(
        layers=lens.layers,
        series=series,
        top=[wording.quoted(lens.top(row, position)[0][1]) for row in range(len(lens.layers))],
        scale=view.look.scale,
        read=view.analysis.layer,
        also_read=[s.layer for s in view.analysis.siblings if s.layer is not None],
        selected=view.look.layer,
    )


def _keys(view: View, curve: charts.Curve, look: Look) -> list[KeyContext]:
    """What each line is, how it ends, and how to take it away."""
    keys = []
    others = {word.word: word.other for word in view.words}
    for series in curve.series:
        match series.kind:
            case "next":
                without, where = None, ""
            case "pin":
                without = look.but(pins=tuple(p for p in look.pins if p != series.position))
                where = f"after position {series.position}"
            case _:
                without, where = look.but(words=tuple(w for w in look.words if w != series.word)), "compared"
        other = others.get(series.word) if series.kind == "word" else None
        keys.append(
            KeyContext(
                name=series.name,
                note=series.note,
                where=where,
                value=wording.small(series.prob[-1]),
                rank=f"rank {series.rank[-1] + 1:,}",
                remove=view.choice(without, "Take away") if without else None,
                other=_instead(view, look, series.word, other.word) if other else None,
                other_where="" if other is None else wording.VARIANTS[other.variant or "plain"],
                other_value=wording.small(other.prob) if other else "",
            )
        )
    return keys


def _instead(view: View, look: Look, word: str, other: str) -> Choice | None:
    """The other variant of a compared word in its place; nothing where both are compared."""
    if other in look.words:
        return None
    words = tuple(other if w == word else w for w in look.words)
    return view.choice(look.but(words=words), wording.quoted(other))


def _likeliest(view: View, position: int, look: Look) -> list[Choice]:
    """What the model finds likeliest after the token, without what is drawn already."""
    if view.lens is None or len(look.words) >= MOST:
        return []
    last, tokens = len(view.lens.layers) - 1, view.analysis.tokens
    drawn = {*look.words, tokens[position + 1].text if position + 1 < len(tokens) else ""}
    if position == len(tokens) - 1:
        drawn.add(view.lens.top(last, position)[0][1])  # there the first line is of the first choice
    return [
        view.choice(look.but(words=(*look.words, text)), wording.quoted(text))
        for text, _ in likeliest(view.lens, position)
        if text not in drawn
    ]


def _pin(view: View, position: int, look: Look) -> Choice | None:
    if position in look.pins:
        return view.choice(
            look.but(pins=tuple(p for p in look.pins if p != position)), "Unpin its curve", True
        )
    if len(look.pins) >= PINS:
        return None
    return view.choice(look.but(pins=(*look.pins, position)), "Keep its curve")


def _fields(look: Look) -> list[Field]:
    """What a form must carry along so that the rest of the view stays."""
    fields = [
        Field("t", str(look.t)),
        Field("p", ",".join(map(str, look.pins))),
        Field("metric", look.metric),
    ]
    fields += [Field("scale", look.scale), Field("lens", look.lens)]
    fields += [Field("layer", "" if look.layer is None else str(look.layer))]
    return fields + [Field("w", word) for word in look.words]


def _said(view: View, look: Look) -> list[str]:
    """What of the address cannot be shown, and words that are more than one token."""
    last = len(view.analysis.tokens) - 1
    said = [f"There is no position {pin} to pin: the text ends at {last}." for pin in look.pins if pin > last]
    if look.lens != view.which and view.lens is not None:
        coming = not view.final and "tuned_lens" in view.analysis.versions
        why = "The tuned lens is made after the readings" if coming else "This analysis has no tuned lens"
        said.append(f"{why}; the logit lens is shown.")
    for word in view.words:
        if len(word.parts) > 1:
            parts = ", ".join(wording.quoted(part) for part in word.parts)
            said.append(
                f"{wording.quoted(word.word)} is {len(word.parts)} tokens ({parts}): the line follows the first."
            )
    return [*said, *([view.words_note] if view.words_note else [])]


def selected_row(view: View) -> int | None:
    """The row of the selected layer; where none was chosen, the one that is read. None until there is a lens."""
    lens = view.lens
    if lens is None:
        return None
    chosen = view.look.layer if view.look.layer is not None else view.analysis.layer
    last = len(lens.layers) - 1
    return last if chosen is None else min(chosen, last)


def cell(view: View, position: int, row: int) -> CellContext:
    """One layer at one position: its first guesses, and its figures for the token that came next."""
    lens = view.lens
    assert lens is not None, "there is no cell before there is a lens"
    count = len(lens.layers)
    is_output = row == count - 1
    look = view.look.but(t=position)
    steps = [
        None if not 0 <= to < count else view.choice(look.but(layer=to), label)
        for to, label in ((row + 1, "Layer above"), (row - 1, "Layer below"))
    ]
    prob, rank = float(lens.prob[row, position]), int(lens.rank[row, position])
    return CellContext(
        position=position,
        row=row,
        name="the model's output" if is_output else f"layer {lens.layers[row]}",
        token=view.name(position),
        following=view.next_name(position),
        guesses=[
            Guess(wording.quoted(text), wording.small(p), max(0, min(100, round(100 * p))))
            for _, text, p in lens.top(row, position)
        ],
        figures=[
            ("probability", wording.small(prob)),
            ("rank", f"{rank + 1:,}"),
            ("entropy", f"{wording.number(float(lens.entropy[row, position]))} nats"),
            ("KL to the output", f"{wording.number(float(lens.kl[row, position]))} nats"),
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
    middle = "" if row is None else f", {wording.small(own.prob[row])} at layer {read} where it is read"
    others = f" {len(curve.series) - 1} more lines are in the table." if len(curve.series) > 1 else ""
    return (
        f"Probability of {own.name} over {len(own.prob)} layers: {wording.small(own.prob[0])} at the first"
        f"{middle}, {wording.small(own.prob[-1])} in the model's own output, rank {own.rank[-1] + 1}.{others}"
    )
