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
    SpokenContext,
    StepMoved,
    StrengthRow,
)
from frontend.edits.edit_form import filled, whole
from frontend.edits.verdict import compared, tried, verdict, warning
from frontend.edits.word_diff import word_diff
from frontend.lens.contexts import Guess
from frontend.lens.typed_words import likeliest
from frontend.links import choice
from frontend.urls import urls
from server.analyses.lens_table import LensTable
from server.analyses.word_curves import other_variant
from server.interventions.schema import Control, Intervention, ModelOutput

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
        result=None if shown is None else result(view, shown),
        earlier=[
            choice(view, view.view_state.replace(t=position, edit=made.id), label(made), made is shown)
            for made in view.edits
        ],
        open=shown is not None or returned,
    )


def _ends(view: View, position: int) -> list[tuple[str, str]]:
    """Where the model can go on: first, where the reply begins."""
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
    """What is watched, the same words with or without their space, and the likeliest tokens where the model goes on."""
    places = [place for end in ends if (place := whole(end)) is not None and place < lens.positions]
    words = list(form.targets)
    words += [other for word in form.targets for other in other_variant(word)]
    words += [word for place in places for word, _ in likeliest(lens, place)]
    return [Offered(word, formatting.quoted(word), word in form.targets) for word in dict.fromkeys(words)]


def label(made: Intervention) -> str:
    """An edit by the beginning of its words."""
    return formatting.quoted(" ".join(made.request.text.split()), 60)


def result(view: View, made: Intervention) -> EditResult:
    """One intervention in words first, figures second."""
    effects = [(made.kl, None), *((control.kl, control) for control in made.controls)]
    most = max([kl for kl, _ in effects] + [1e-9])
    return EditResult(
        id=made.id,
        words=word_diff(made.original, made.request.text),
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
        along=_along(view, made),
        json=urls.intervention(view.analysis.id, made.id),
    )


def _how(view: View, made: Intervention) -> list[Bit]:
    """What was done, and how much of the activation the edited words hold."""
    asked = made.request
    onwards = asked.scope == "onwards"
    later = " and at every later token" if onwards else ""
    if asked.mode == "replace":
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


def _ratio(made: Intervention) -> str:
    """How large \u0394 was before it was stretched to the step."""
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
            name="these words",
            explained="The edit",
            moved=_nats(made.kl),
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
        moved=_nats(control.kl),
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


def _nats(value: float) -> str:
    return formatting.number(value) if value >= 0.005 or value == 0 else "under 0.01"


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
            moved=_nats(s.kl),
            width=round(100 * s.kl / most, 1),
            random=_nats(s.random_kl),
            span=" to ".join(map(formatting.number, s.random_interval)),
            first=formatting.quoted(s.first[1]),
            others=_nats(fmean(s.other_kls)) if s.other_kls else "",
            probs=[
                (formatting.small(p), f"up to {formatting.small(max(q))}" if q else "")
                for p, *q in zip(s.probs, *s.other_probs, strict=True)
            ],
            chosen=s.alpha == made.request.alpha,
        )
        for s in made.sweep
    ]


def _along(view: View, made: Intervention) -> list[StepMoved]:
    """How far what is expected after each token moves; nothing to tell for one token alone."""
    if len(made.kls) < 2:
        return []
    random: Sequence[float] = next(
        (c.kls for c in made.controls if c.kind == "random"), [0.0] * len(made.kls)
    )
    most = max([*made.kls, *random, 1e-9])
    return [
        StepMoved(
            token_name(view, made.request.position + n),
            _nats(kl),
            _nats(at_random),
            round(100 * kl / most, 1),
        )
        for n, (kl, at_random) in enumerate(zip(made.kls, random, strict=True))
    ]
