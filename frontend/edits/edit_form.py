"""The form that edits a reading's words: from its fields to a request, and from a request to its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from pydantic import ValidationError

from frontend import formatting
from frontend.edits.contexts import EditForm
from frontend.lens.typed_words import typed_words
from frontend.typed_form import FormError, sent
from server.interventions.schema import ALPHA, Intervention, InterventionRequest, Mode, Scope, SteerOrigin

TARGET = "target-"
"""The fields of the words that are offered; a number follows."""
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Strengths of a sweep, as multiples of the strength that is asked for."""
# Where a field of the API stands in the form; all else goes to the form's head.
PLACES = {
    "targets": "watch",
    "sweep": "alpha",
    "until": "until",
    "alpha": "alpha",
    "text": "text",
    "vector": "vector",
}


def read(fields: Mapping[str, str]) -> EditForm:
    """The form as it was sent. A form ends lines its own way; the words that it offers hold no carriage return."""
    chosen = [value for name, value in fields.items() if name.startswith(TARGET)]
    return replace(sent(EditForm, fields), targets=tuple(word.replace("\r\n", "\n") for word in chosen))


def request(form: EditForm, position: int) -> InterventionRequest:
    """Parse the form, with its words as they are typed. Raises FormError with one message a field."""
    errors = {}
    text = form.text.strip()
    if not text and not form.vector:
        errors["text"] = "Write what the activation is to say."
    alpha = None
    if form.mode == "steer":  # otherwise nobody sees the field
        try:
            alpha = float(form.alpha.replace(",", ".").replace(formatting.MINUS, "-"))
        except ValueError:
            errors["alpha"] = "Give a number, such as 1 or 0.5."
    for name, value, allowed in (
        ("mode", form.mode, get_args(Mode)),
        ("delta", form.delta, get_args(SteerOrigin)),
        ("scope", form.scope, get_args(Scope)),
    ):
        if value not in allowed:
            errors["form"] = f"{name} is one of {', '.join(allowed)}."
    if errors:
        raise FormError(errors)
    try:
        return InterventionRequest.model_validate(
            {
                "position": position,
                "text": None if form.vector else text,
                "vector": form.vector or None,
                "mode": form.mode,
                "alpha": alpha,
                "sweep": [alpha * part for part in STRENGTHS] if alpha and form.sweep else [],
                "delta": None if form.vector else form.delta,
                "scope": form.scope,
                "targets": [*form.targets, *(word.text for word in typed_words(form.watch))],
                "until": whole(form.until),
                "sample": whole(form.sample) or 0,
            }
        )
    except ValidationError as error:
        raise FormError({_place(str(e["loc"][0])): e["msg"] for e in error.errors()}) from error


def whole(text: str) -> int | None:
    """A position or the number of a sample, if that is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


def misplaced(field: str | None, detail: str) -> dict[str, str]:
    """An error of the server beside the field of the form that it is about."""
    return {_place((field or "").partition(".")[0]): detail}


def _place(field: str) -> str:
    return PLACES.get(field, "form")


def settled(form: EditForm, words: Sequence[str]) -> EditForm:
    """The form with exact words in place of those that were typed."""
    return replace(form, targets=tuple(dict.fromkeys([*form.targets, *words])), watch="")


def filled(made: Intervention) -> EditForm:
    """The form as it was sent for an edit."""
    asked = made.request
    return EditForm(
        text=asked.text or made.original or "",
        vector=asked.vector or "",
        mode=asked.mode,
        alpha=f"{ALPHA if asked.alpha is None else asked.alpha:g}",
        delta=asked.delta or "original",
        scope=asked.scope,
        until=str(made.until),
        targets=tuple(asked.targets),
        sweep="1" if asked.sweep else "",
        sample=str(asked.sample),
    )
