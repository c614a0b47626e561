"""The panel of the pinned token: readings with their scores in words, then figures; the curve; the flags."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from frontend import agreement, wording
from frontend.beside import beside
from frontend.contexts.links import Choice
from frontend.contexts.panel import Figure, NeighbourContext, PanelContext, ReadingContext, StepContext
from frontend.edits import edits
from frontend.flags import flag
from frontend.layers import layers
from frontend.urls import urls
from server.analyses.schema import Analysis, Baselines, Reading

if TYPE_CHECKING:
    from frontend.view import View

NEAR = 2
"""Tokens on each side whose readings stand beside the pinned one's."""
ROLES = {"text": "raw text", "template": "chat template"}


def panel(view: View, position: int) -> PanelContext:
    """Everything about one position, at any stage of the analysis."""
    a = view.analysis
    token = a.tokens[position]
    readings = _readings(view, position)
    return PanelContext(
        position=position,
        title=name(view, position),
        where=_where(a, position),
        steps=[_step(view, position - 1, "prev"), _step(view, position + 1, "next")],
        readings=readings,
        agreed=any(span.shared for r in readings for p in r.paragraphs for span in p),
        neighbours=_neighbours(view, position),
        beside=beside(view, position),
        baselines=[*_means(view), *_baselines(a.baselines)],
        flags=[flag(name, position, a.card) for name in token.flags],
        card=a.card.readings if a.card else "",
        edits=edits(view, position),
        layers=layers(view, position, next_name(view, position)),
    )


def name(view: View, position: int) -> str:
    """A token as the panel names it; a part of a glyph is named after the glyph."""
    tokens, span = view.analysis.tokens, view.glyphs.get(position)
    if span is not None:
        part, parts = position - span[0] + 1, span[1] - span[0] + 1
        return f"{wording.quoted(tokens[span[0]].text)} (part {part} of {parts})"
    return wording.quoted(tokens[position].text) or "(empty)"


def next_name(view: View, position: int) -> str:
    """The token that the lens at a position follows: the next one, at the end the model's own first choice."""
    if position + 1 < len(view.analysis.tokens):
        return name(view, position + 1)
    lens = view.analysis.lens
    return wording.quoted(lens.top(len(lens.layers) - 1, position)[0][1]) if lens else ""


def _where(a: Analysis, position: int) -> str:
    token = a.tokens[position]
    role = ROLES.get(token.role, token.role)
    origin = "written by the model" if token.kind == "generated" else role
    norm = "" if token.norm is None else f" \u00b7 {_norm(a, position, token.norm)}"
    return f"position {position} of {len(a.tokens)} \u00b7 {origin}{norm}"


def _norm(a: Analysis, position: int, norm: float) -> str:
    """The activation's length, and how it stands among those of this text's other content tokens."""
    said = f"length of the activation {wording.number(norm, 0)}"
    norms = [t.norm for t in a.tokens if t.content and t.norm is not None and t.position != position]
    if norms:
        shorter = sum(other < norm for other in norms)
        said += f", longer than {wording.percent(shorter / len(norms))} of this text's other content tokens"
    return said


def _neighbours(view: View, position: int) -> list[NeighbourContext]:
    """What stands beside the pinned reading in the text, so that what recurs stands out."""
    own = view.by_position.get(position, [])
    mine = set().union(*(agreement.words(r.text) for r in own)) - view.usual
    found = []
    for other in range(position - NEAR, position + NEAR + 1):
        readings = [r for r in view.by_position.get(other, []) if r.text]
        if other == position or not readings:
            continue
        r, look = readings[0], view.look.but(t=other)
        colour = wording.score_bin(r.fve, r.cos)
        found.append(
            NeighbourContext(
                name=name(view, other),
                choice=Choice(
                    urls.analysis(view.analysis.id, look),
                    urls.panel(view.analysis.id, look),
                    str(other),
                    False,
                ),
                words=agreement.spans(wording.plain(r.text), mine),
                swatch="" if colour is None else f"s{colour}",
                score=wording.percent(r.fve) if r.fve is not None else wording.number(r.cos),
            )
        )
    return found


def _step(view: View, position: int, rel: str) -> StepContext:
    sign, label = ("\u2190", "Previous token") if rel == "prev" else ("\u2192", "Next token")
    a = view.analysis
    if not 0 <= position < len(a.tokens):
        return StepContext("", "", rel, label, sign)
    look = view.look.but(t=position)
    return StepContext(urls.analysis(a.id, look), urls.panel(a.id, look), rel, label, sign)


def _readings(view: View, position: int) -> list[ReadingContext]:
    """One a sample, whether written or not; words that several of them share are marked."""
    a = view.analysis
    written = {r.sample: r for r in view.by_position.get(position, [])}
    texts = [r.text for r in written.values()]
    marked = dict(zip(written, agreement.shared(texts, view.usual), strict=True)) if len(texts) > 1 else {}
    if not written and not view.asked(position):
        return [_blank(0, "skipped", "No reading of this position was asked for.")]
    samples = range(max([a.request.verbalise.samples, *(s + 1 for s in written)]))
    found = []
    for sample in samples:
        partial = view.partials.get((position, sample), "")
        if sample in written:
            found.append(reading_context(view, written[sample], marked.get(sample, ())))
        elif partial and not view.final:
            found.append(_text(_blank(sample, "writing", "The reading is being written."), partial))
        else:
            note = (
                "This position was not read."
                if view.final
                else "Not yet read: it will be next among the readings."
            )
            found.append(_blank(sample, "waiting", note))
    return found


def reading_context(view: View, r: Reading, marked: Collection[str] = ()) -> ReadingContext:
    """A reading that has ended, with these of its words marked."""
    if r.error is not None:
        return _blank(r.sample, "failed", "", error=wording.plain(r.error))
    a = view.analysis
    scored = r.cos is not None
    note = (
        "" if scored else ("It was not scored." if view.final else "Measuring how much the words hold \u2026")
    )
    return ReadingContext(
        sample=r.sample,
        state="done" if scored else "scoring",
        text=r.text,
        paragraphs=[agreement.spans(part, marked) for part in paragraphs(r.text)],
        truncated=r.truncated,
        note=note,
        error="",
        headline=_sentence(wording.headline(r.fve, r.cos)),
        bin=wording.score_bin(r.fve, r.cos) or 0,
        rank=wording.rank_sentence(r.rank, r.rank_of, len(a.tokens)),
        figures=_figures(r) if scored else [],
        precision=wording.precision_sentence(a.versions.get("precision", "")) if scored else "",
    )


def _blank(sample: int, state: str, note: str, error: str = "") -> ReadingContext:
    return ReadingContext(sample, state, "", [], False, note, error, "", 0, "", [])


def _text(blank: ReadingContext, text: str) -> ReadingContext:
    parts = [[agreement.Span(part, False)] for part in paragraphs(text)]
    return ReadingContext(blank.sample, blank.state, text, parts, False, blank.note, "", "", 0, "", [])


def paragraphs(text: str) -> list[str]:
    """A reading's paragraphs, without empty ones."""
    return [line for line in (part.strip() for part in wording.plain(text).split("\n")) if line]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _figures(r: Reading) -> list[Figure]:
    shown = [
        Figure(
            "FVE",
            wording.number(r.fve),
            "Fraction of variance explained, of the activation's direction: 1 is all of it, 0 no better than always "
            "answering the mean. Both vectors are brought to one length first: the length is not in the words.",
        ),
        Figure("cosine", wording.number(r.cos), "Between the activation and what the words turn back into"),
        Figure("MSE", wording.number(r.mse), "Of both vectors at length \u221ad: 2(1 \u2212 cosine)"),
    ]
    return shown if r.fve is not None else shown[1:]


def _means(view: View) -> list[str]:
    """What this text's readings score on average: those of its content, and apart those that are left out everywhere."""
    scored = [r for r in view.analysis.readings if r.cos is not None]
    content = {token.position for token in view.analysis.tokens if token.content}
    inside = [r for r in scored if r.position in content]
    outside = [r for r in scored if r.position not in content]
    lines = []
    for name, readings in (
        ("all readings of this text's content, on average", inside),
        ("those of what is not counted as content: template, special, first and outsized tokens", outside),
    ):
        if len(readings) > 1:
            fves = [r.fve for r in readings if r.fve is not None]
            mean = sum(fves) / len(fves) if fves else None
            cos = sum(r.cos or 0 for r in readings) / len(readings)
            lines.append(f"{wording.baseline_sentence(name, mean, cos)} (of {len(readings)})")
    return lines


def _baselines(b: Baselines | None) -> list[str]:
    """What chance scores. Those of an earlier version are over all tokens."""
    if b is None:
        return []
    lines = []
    tokens = "content tokens" if b.over == "content" else "tokens, the template's included"
    if b.shuffled_cos is not None or b.shuffled_fve is not None:
        lines.append(
            wording.baseline_sentence(
                f"shuffled within this text, each reading dealt to its other {tokens}",
                b.shuffled_fve,
                b.shuffled_cos,
            )
        )
    if b.mean_cos is not None or b.mean_fve is not None:
        lines.append(
            wording.baseline_sentence(
                f"always answering the mean of its other {tokens}", b.mean_fve, b.mean_cos
            )
        )
    if b.nearest is not None:
        lines.append(
            f"their own activation is the nearest of {b.nearest_of} content tokens, for {wording.percent(b.nearest)} "
            "of the readings"
        )
    return lines
