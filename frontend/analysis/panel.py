"""The panel of the pinned token: readings with their scores in words, then figures; the curve; the flags."""

from __future__ import annotations

from dataclasses import replace

from frontend import formatting
from frontend.analysis import shared_words
from frontend.analysis.flags import flag
from frontend.analysis.other_layers import other_layers
from frontend.analysis.panel_contexts import (
    AgreementLink,
    NeighbourContext,
    PanelContext,
    ReadingContext,
    StepContext,
)
from frontend.analysis.reading import blank_reading, reading_context, with_text
from frontend.analysis.token_names import next_token_name, token_name
from frontend.analysis.view import View
from frontend.causal.parts import parts
from frontend.edits.edit_context import edit_context
from frontend.lens.layer_curve import layer_curve
from frontend.links import Choice
from frontend.urls import urls
from server.analyses.schema import Analysis, Baselines

NEAR = 2
"""Tokens on each side whose readings stand beside the pinned one's."""
ROLES = {"text": "raw text", "template": "chat template"}


def pinned_panel(view: View) -> PanelContext | None:
    """The panel of the pinned token; None until there are tokens."""
    return None if view.pinned is None else panel(view, view.pinned)


def panel(view: View, position: int) -> PanelContext:
    """Everything about one position, at any stage of the analysis."""
    a = view.analysis
    token = a.tokens[position]
    readings = _readings(view, position)
    return PanelContext(
        position=position,
        title=token_name(view, position),
        where=_where(a, position),
        steps=[_step(view, position - 1, "prev"), _step(view, position + 1, "next")],
        readings=readings,
        agreed=any(span.shared for r in readings for p in r.paragraphs for span in p),
        agreement=_agreement(view, position),
        neighbours=_neighbours(view, position),
        beside=other_layers(view, position),
        baselines=[*_means(view), *_baselines(a.baselines)],
        flags=[flag(name, position, a.card) for name in token.flags],
        card=a.card.readings if a.card else "",
        about=urls.pair(a.pair),
        edits=edit_context(view, position),
        keep=urls.keep_vector(a.id, position) if a.lens is not None else "",
        notebook=urls.put_into_notebook(analysis=a.id, position=position),
        layers=layer_curve(view, position, next_token_name(view, position)),
    )


def _agreement(view: View, position: int) -> AgreementLink | None:
    """Link to the agreement of this token's readings, or to reading it more often; None before its end, in a file."""
    readings = [r for r in view.by_position.get(position, []) if r.cos is not None]
    if not view.final or view.parts is None or not readings:
        return None
    several = len(readings) > 1
    id = view.analysis.id
    return AgreementLink(urls.agreement(id, position) if several else "", urls.samples(id, position))


def _where(a: Analysis, position: int) -> str:
    token = a.tokens[position]
    role = ROLES.get(token.role, token.role)
    origin = "written by the model" if token.kind == "generated" else role
    norm = "" if token.norm is None else f" \u00b7 {_norm(a, position, token.norm)}"
    return f"position {position} of {len(a.tokens)} \u00b7 {origin}{norm}"


def _norm(a: Analysis, position: int, norm: float) -> str:
    """The activation's length, and how it stands among those of this text's other content tokens."""
    said = f"length of the activation {formatting.number(norm, 0)}"
    norms = [t.norm for t in a.tokens if t.content and t.norm is not None and t.position != position]
    if norms:
        shorter = sum(other < norm for other in norms)
        said += (
            f", longer than {formatting.percent(shorter / len(norms))} of this text's other content tokens"
        )
    return said


def _neighbours(view: View, position: int) -> list[NeighbourContext]:
    """Gather the readings beside the pinned one in the text, so that what recurs stands out."""
    own = view.by_position.get(position, [])
    mine = set().union(*(shared_words.words(r.text) for r in own)) - view.usual
    found = []
    for other in range(position - NEAR, position + NEAR + 1):
        readings = [r for r in view.by_position.get(other, []) if r.text]
        if other == position or not readings:
            continue
        r, view_state = readings[0], view.view_state.replace(t=other)
        colour = formatting.score_bin(r.fve, r.cos)
        found.append(
            NeighbourContext(
                name=token_name(view, other),
                choice=Choice(
                    urls.analysis(view.analysis.id, view_state),
                    urls.panel(view.analysis.id, view_state),
                    str(other),
                    False,
                ),
                words=shared_words.spans(formatting.plain(r.text), mine),
                swatch="" if colour is None else f"s{colour}",
                score=formatting.percent(r.fve) if r.fve is not None else formatting.number(r.cos),
                is_endless=formatting.is_endless(r.text),
            )
        )
    return found


def _step(view: View, position: int, rel: str) -> StepContext:
    sign, label = ("\u2190", "Previous token") if rel == "prev" else ("\u2192", "Next token")
    a = view.analysis
    if not 0 <= position < len(a.tokens):
        return StepContext("", "", rel, label, sign)
    view_state = view.view_state.replace(t=position)
    return StepContext(urls.analysis(a.id, view_state), urls.panel(a.id, view_state), rel, label, sign)


def _readings(view: View, position: int) -> list[ReadingContext]:
    """One a sample, whether written or not; words that several of them share are marked."""
    a = view.analysis
    written = {r.sample: r for r in view.by_position.get(position, [])}
    texts = [r.text for r in written.values()]
    marked = dict(zip(written, shared_words.shared(texts, view.usual), strict=True)) if len(texts) > 1 else {}
    if not written and not view.asked(position):
        return [blank_reading(0, "skipped", "No reading of this position was asked for.")]
    samples = range(max([a.request.verbalise.samples, *(s + 1 for s in written)]))
    found = []
    for sample in samples:
        partial = view.partials.get((position, sample), "")
        if sample in written:
            context = reading_context(view, written[sample], marked.get(sample, ()))
            found.append(replace(context, parts=parts(view, written[sample])))
        elif partial and not view.final:
            found.append(
                with_text(blank_reading(sample, "writing", "The reading is being written."), partial)
            )
        else:
            note = (
                "This position was not read."
                if view.final
                else "Not yet read: it will be next among the readings."
            )
            found.append(blank_reading(sample, "waiting", note))
    return found


def _means(view: View) -> list[str]:
    """Return the mean scores of this text's readings: those of its content, and apart those that are left out
    everywhere.
    """
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
            lines.append(f"{formatting.baseline_sentence(name, mean, cos)} (of {len(readings)})")
    return lines


def _baselines(b: Baselines | None) -> list[str]:
    """Return the scores of the controls. Those of an earlier version are over all tokens."""
    if b is None:
        return []
    lines = []
    tokens = "content tokens" if b.over == "content" else "tokens, the template's included"
    if b.shuffled_cos is not None or b.shuffled_fve is not None:
        lines.append(
            formatting.baseline_sentence(
                f"shuffled within this text, each reading dealt to its other {tokens}",
                b.shuffled_fve,
                b.shuffled_cos,
            )
        )
    if b.mean_cos is not None or b.mean_fve is not None:
        lines.append(
            formatting.baseline_sentence(
                f"always answering the mean of its other {tokens}", b.mean_fve, b.mean_cos
            )
        )
    if b.nearest is not None:
        lines.append(
            f"their own activation is the nearest of {b.nearest_of} content tokens, for "
            f"{formatting.percent(b.nearest)} "
            "of the readings"
        )
    return lines
