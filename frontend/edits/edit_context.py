"""Editing a reading's words: what the page shows of the form, and of what the model said."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from frontend import formatting
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.edits.contexts import (
    Bit,
    EditContext,
    EditForm,
    EditResult,
    EffectRow,
    Offered,
    PendingEdit,
    SpokenContext,
    StepMoved,
    StrengthRow,
)
from frontend.edits.dose import dose
from frontend.edits.edit_form import filled, whole
from frontend.edits.replay import replay
from frontend.edits.verdict import compared, tried, verdict, warning
from frontend.edits.word_diff import word_diff
from frontend.lens.contexts import Guess
from frontend.lens.typed_words import likeliest
from frontend.links import choice
from frontend.urls import urls
from server.analyses.lens_table import LensTable
from server.analyses.word_curves import other_variant
from server.interventions.schema import Control, Intervention, ModelOutput, PendingIntervention
from server.measurements.forms import sentences

KINDS = {
    "random": (
        "random directions, a floor",
        "Turned to the edit's angle: what a disturbance without words does, not what an edit has to beat",
    ),
    "unedited": ("the reading as it is", "Its own words, through the reconstructor"),
    "other": (
        "other tokens' readings",
        "Readings of other content tokens of this text, turned to the edit's angle",
    ),
    "gold": ("the activation that was named", "Of another text, without any words"),
}


def edit_context(view: View, position: int, form: EditForm | None = None) -> EditContext:
    """The edits of the pinned token; `form` is one that could not be used, or that the address keeps."""
    a, shown = view.analysis, view.edit
    first = next((r for r in view.by_position.get(position, []) if r.text), None)
    if a.lens is None or (first is None and view.asked(position) and not view.final):
        return EditContext(position)
    ends, returned = _ends(view, position), form is not None
    if form is None and shown is not None:
        form = filled(shown)
    elif form is None:
        text = first.text if first else ""
        first_choice = likeliest(a.lens, int(ends[0][0]))[:1]
        form = EditForm(text=text, until=ends[0][0], targets=tuple(word for word, _ in first_choice))
    return EditContext(
        position=position,
        action=urls.edit(a.id, view.view_state.replace(t=position, edit=None)),
        draft=f"{a.id}:{position}",
        ends=ends if form.until in dict(ends) else [*ends, _end(view, form.until)],
        form=form,
        offered=_offered(a.lens, form, [ends[0][0], form.until]),
        vectors=_vectors(view, form),
        quick=urls.quick_edit(a.id, view.view_state.replace(t=position, edit=None)),
        sentences=_sentences(form.text),
        difference=word_diff(first.text if first else None, form.text) if form.changed else None,
        result=None if shown is None else result(view, shown),
        earlier=[
            choice(view, view.view_state.replace(t=position, edit=made.id), label(made), made is shown)
            for made in view.edits
        ],
        pending=[pending(view, being_made) for being_made in view.pending],
        open=shown is not None or returned or bool(view.pending),
    )


def pending(view: View, being_made: PendingIntervention) -> PendingEdit:
    """An edit that is being made."""
    there = view.view_state.replace(t=being_made.request.position, edit=being_made.id)
    progress = being_made.progress
    stages = {
        "reconstruct": "The reconstructor reads the words.",
        "patch": "The model goes on, with the patch and with its controls.",
        "sweep": "The model goes on with other strengths.",
    }
    return PendingEdit(
        id=being_made.id,
        label=label(being_made),
        stage=progress.message or stages.get(progress.stage, "It waits for its turn."),
        done=progress.done,
        total=progress.total,
        follow=urls.pending_edit(view.analysis.id, being_made.id, there),
        cancel=urls.cancel_edit(view.analysis.id, being_made.id, view.view_state),
    )


def _ends(view: View, position: int) -> list[tuple[str, str]]:
    """List the tokens after which the model can go on: first, where the reply begins."""
    tokens = view.analysis.tokens
    last = max([position, *(t.position for t in tokens if t.kind == "prompt")])
    ends = [(str(last), f"the end of the prompt, {token_name(view, last)}")] if last != position else []
    return [*ends, (str(position), f"this token, {token_name(view, position)}")]


def _end(view: View, until: str) -> tuple[str, str]:
    """Another end, which a script has asked for."""
    position = whole(until)
    if position is None or position >= len(view.analysis.tokens):
        return until, "?"
    return until, token_name(view, position)


def _offered(lens: LensTable, form: EditForm, ends: Sequence[str]) -> list[Offered]:
    """List the watched words, the same words with or without their space, and the likeliest tokens where the model goes
    on.
    """
    places = [place for end in ends if (place := whole(end)) is not None and place < lens.positions]
    words = list(form.targets)
    words += [other for word in form.targets for other in other_variant(word)]
    words += [word for place in places for word, _ in likeliest(lens, place)]
    return [Offered(word, formatting.quoted(word), word in form.targets) for word in dict.fromkeys(words)]


def _sentences(text: str) -> list[tuple[str, str]]:
    """List the sentences that can be left out, by their numbers; none where there is but one."""
    parts = sentences(text)
    return [(str(n), _beginning(part)) for n, part in enumerate(parts)] if len(parts) > 1 else []


def _vectors(view: View, form: EditForm) -> list[Offered]:
    """List the vectors that fit; one that is chosen stands there even if it has been deleted."""
    names = {vector.id: vector.name for vector in view.vectors}
    if form.vector and form.vector not in names:
        used = None if view.edit is None else view.edit.vector
        names[form.vector] = used.name if used is not None and used.id == form.vector else form.vector
    return [Offered(id, _beginning(name), id == form.vector) for id, name in names.items()]


def label(made: Intervention | PendingIntervention) -> str:
    """An edit by the beginning of its words, or by its vector."""
    if made.vector is not None:
        return f"the vector {_beginning(made.vector.name)}"
    return _beginning(made.request.text or "")


def _beginning(text: str) -> str:
    return formatting.quoted(" ".join(text.split()), 60)


def result(view: View, made: Intervention) -> EditResult:
    """One intervention in words first, figures second."""
    effects = [(made.kl, None), *((control.kl, control) for control in made.controls)]
    most = max([kl for kl, _ in effects] + [1e-9])
    return EditResult(
        id=made.id,
        words=None if made.request.text is None else word_diff(made.original, made.request.text),
        vector=None
        if made.vector is None
        else (formatting.plain(made.vector.name), urls.vector(made.vector.id)),
        verdict=verdict(view, made),
        compared=compared(made),
        warning=warning(made),
        tried=tried(made, view.edits),
        how=_how(view, made),
        watched=[formatting.word(target.text, target.count) for target in made.before.targets],
        unpatched=[formatting.small(target.prob) for target in made.before.targets],
        rows=[_row(made, control, 100 * kl / most) for kl, control in effects],
        spoken=[_spoken("as it is", made.before), _spoken("patched", made.after)],
        strengths=_strengths(made),
        dose=dose(made),
        replay=replay(view.analysis, made),
        along=_along(view, made),
        json=urls.intervention(view.analysis.id, made.id),
        notebook=urls.put_into_notebook(analysis=view.analysis.id, edit=made.id),
    )


def _how(view: View, made: Intervention) -> list[Bit]:
    """Describe the edit, and how much of the activation the edited words hold."""
    asked = made.request
    onwards = asked.scope == "onwards"
    later = " and at every later token" if onwards else ""
    if made.vector is not None:
        done = f"{later} {_by_vector(made)}"
    elif asked.mode == "replace":
        length = " All of them then point the same way, each as long as it was." if onwards else ""
        done = f"{later} is replaced by what the reconstructor makes of the words.{length}"
    else:
        source = "reading as it is" if asked.delta == "original" else "activation"
        strength = formatting.number(asked.alpha, 2)
        done = f"{later} is steered from the {source} towards the words, \u03b1 = {strength}."
        done += f" Each step is {strength} times as long as that token's own activation." if onwards else ""
        done += _ratio(made)
    at = Bit(token_name(view, asked.position), token=True)
    return [Bit(f"The activation of layer {made.layer} at "), at, Bit(f"{done} {_held(view, made)}")]


def _by_vector(made: Intervention) -> str:
    if made.request.mode == "replace":
        return "is turned to the direction of the vector, and keeps its length."
    strength = formatting.number(made.request.alpha, 2)
    return f"is steered along the vector, each step {strength} times as long as the activation."


def _ratio(made: Intervention) -> str:
    """Say the length of \u0394 before it was stretched to the step."""
    if made.delta_ratio is None:
        return ""
    of = (
        "\u2016v\u2080\u2016, v\u2080 being the reading as it is, reconstructed"
        if made.request.delta == "original"
        else "the activation, both at length 1"
    )
    return f" Before that, \u2016\u0394\u2016 is {formatting.small(made.delta_ratio)} of {of}."


def _held(view: View, made: Intervention) -> str:
    score = made.score
    if made.vector is not None:
        return f"The cosine of the vector with the activation is {formatting.number(score.cos)}."
    said = f"What they make {formatting.headline(score.fve, score.cos)}"
    place = (made.request.position, made.request.sample)
    scored = (r for r in view.analysis.readings if (r.position, r.sample) == place and r.cos is not None)
    own = next(scored, None)
    if own is None:
        return f"{said}."
    value = formatting.percent(own.fve) if own.fve is not None else f"cosine {formatting.number(own.cos)}"
    return f"{said}; the reading as it is: {value}."


def _row(made: Intervention, control: Control | None, width: float) -> EffectRow:
    if control is None:
        kept = made.before.top[0][0] == made.after.top[0][0]
        return EffectRow(
            name="these words" if made.vector is None else "this vector",
            explained="The edit",
            moved=formatting.nats(made.kl),
            span="",
            width=round(width, 1),
            kept="kept" if kept else "changed",
            probs=[(formatting.small(target.prob), "") for target in made.after.targets],
        )
    name, explained = KINDS[control.kind]
    span = "" if control.interval is None else " to ".join(map(formatting.number, control.interval))
    single = "kept" if control.kept else "changed"
    return EffectRow(
        name=name if control.n == 1 else f"{control.n} {name}",
        explained=explained,
        moved=formatting.nats(control.kl),
        span=span,
        width=round(width, 1),
        kept=single if control.n == 1 else f"{control.kept} keep it",
        probs=[(formatting.small(p), most) for p, most in zip(control.probs, _most(control), strict=True)],
    )


def _most(control: Control) -> list[str]:
    """The most that any of several gives each watched word."""
    if control.n == 1 or not control.each_probs:
        return [""] * len(control.probs)
    return [f"up to {formatting.small(max(each))}" for each in zip(*control.each_probs, strict=True)]


def _spoken(name: str, said: ModelOutput) -> SpokenContext:
    guesses = [
        Guess(formatting.quoted(text), formatting.small(p), max(0, min(100, round(100 * p))))
        for _, text, p in said.top
    ]
    return SpokenContext(name, guesses, formatting.plain(said.text).strip(), said.ended)


def _strengths(made: Intervention) -> list[StrengthRow]:
    most = max([1e-9, *(s.kl for s in made.sweep), *(s.random_kl for s in made.sweep)])
    return [
        StrengthRow(
            alpha=f"{s.alpha:g}".replace("-", formatting.MINUS),
            moved=formatting.nats(s.kl),
            width=round(100 * s.kl / most, 1),
            random=formatting.nats(s.random_kl),
            span=" to ".join(map(formatting.number, s.random_interval)),
            first=formatting.quoted(s.first[1]),
            others=formatting.nats(fmean(s.other_kls)) if s.other_kls else "",
            probs=[
                (formatting.small(p), f"up to {formatting.small(max(q))}" if q else "")
                for p, *q in zip(s.probs, *s.other_probs, strict=True)
            ],
            chosen=s.alpha == made.request.alpha,
        )
        for s in made.sweep
    ]


def _along(view: View, made: Intervention) -> list[StepMoved]:
    """Return the KL after each token, for a figure; None for one token alone."""
    if len(made.kls) < 2:
        return []
    random: Sequence[float] = next(
        (c.kls for c in made.controls if c.kind == "random"), [0.0] * len(made.kls)
    )
    most = max([*made.kls, *random, 1e-9])
    return [
        StepMoved(
            token_name(view, made.request.position + n),
            formatting.nats(kl),
            formatting.nats(at_random),
            round(100 * kl / most, 1),
        )
        for n, (kl, at_random) in enumerate(zip(made.kls, random, strict=True))
    ]
