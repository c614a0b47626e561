"""The form that edits a reading's words: from its fields to a request, and from a request to its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pydantic import ValidationError

from frontend import wording
from frontend.contexts.edits import EditForm
from frontend.forms import FormError, sent
from server.analyses.interventions.schema import Delta, Intervention, InterventionRequest, Mode, Scope

SPACE = "\u00b7"
"""How the page draws a token's leading space; a watched word may be typed so."""
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""What a sweep tries, as parts of the strength that is asked for."""
# Where a field of the API stands in the form; all else goes to the form's head.
PLACES = {"targets": "watch", "sweep": "alpha", "until": "until", "alpha": "alpha", "text": "text"}


def read(fields: Mapping[str, str]) -> EditForm:
    """The form as it was sent."""
    return sent(EditForm, fields)


def request(form: EditForm, position: int) -> InterventionRequest:
    """What the form asks for. Raises FormError with one message a field."""
    errors = {}
    text = form.text.strip()
    if not text:
        errors["text"] = "Write what the activation is to say."
    alpha = None
    if form.mode == "steer":  # otherwise nobody sees the field
        try:
            alpha = float(form.alpha.replace(",", ".").replace(wording.MINUS, "-"))
        except ValueError:
            errors["alpha"] = "Give a number, such as 1 or 0.5."
    for name, value, allowed in (
        ("mode", form.mode, get_args(Mode)),
        ("delta", form.delta, get_args(Delta)),
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
                "text": text,
                "mode": form.mode,
                "alpha": alpha,
                "sweep": [alpha * part for part in STRENGTHS] if alpha and form.sweep else [],
                "delta": form.delta,
                "scope": form.scope,
                "targets": watched(form.watch),
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


def watched(text: str) -> list[str]:
    """Words with commas between them; a leading \u00b7 is a space."""
    words = [word.strip() for word in text.split(",")]
    return [" " + word[1:] if word[0] in SPACE + "\u2423" else word for word in words if word]


def typed(word: str) -> str:
    """A word as it stands in the form."""
    return SPACE + word[1:] if word.startswith(" ") else word


def filled(made: Intervention) -> EditForm:
    """The form as it was sent for an edit."""
    asked = made.request
    return EditForm(
        text=asked.text,
        mode=asked.mode,
        alpha=f"{1.0 if asked.alpha is None else asked.alpha:g}",
        delta=asked.delta or "original",
        scope=asked.scope,
        until=str(made.until),
        watch=", ".join(map(typed, asked.targets)),
        sweep="1" if asked.sweep else "",
        sample=str(asked.sample),
    )
