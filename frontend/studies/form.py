"""The form that starts a study of multiplication, with every message beside its field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from frontend.typed_form import FormError, TypedForm
from server.api.problems import field_errors
from server.errors import FieldError
from server.studies.requests import MultiplicationRequest

PROBLEMS = 100
FIELDS = {
    "problems": "problems",
    "factors.0": "first",
    "factors.1": "second",
    "factors": "first",
    "seed": "seed",
    "pair": "pair",
    "template": "template",
    "edit_alphas": "edit_alphas",
}
"""Where a field of the API stands in the form; the longest prefix wins, all else goes to the form's head."""


@dataclass(frozen=True)
class StudyForm(TypedForm):
    """Values of the form."""

    FOLDED = ("seed", "template", "causal", "edit_alphas")
    problems: str = str(PROBLEMS)
    first_low: str = "20"
    first_high: str = "99"
    second_low: str = "2"
    second_high: str = "9"
    seed: str = "0"
    pair: str = ""
    template: str = ""
    causal: str = ""
    edit_alphas: str = ""


def blank(most: int) -> StudyForm:
    """The form of somebody who has not typed yet."""
    return StudyForm(problems=str(min(PROBLEMS, most)))


def request(form: StudyForm) -> MultiplicationRequest:
    """The request that the form asks for. Raises FormError with one message a field."""
    alphas = [part for part in form.edit_alphas.replace(";", " ").replace(",", " ").split() if part]
    asked: dict[str, Any] = {
        "kind": "multiplication",
        "problems": form.problems.strip(),
        "factors": [
            [form.first_low.strip(), form.first_high.strip()],
            [form.second_low.strip(), form.second_high.strip()],
        ],
        "seed": form.seed.strip(),
        "pair": form.pair or None,
        "template": form.template if form.template.strip() else None,
        "causal": bool(form.causal),
        "edit_alphas": alphas,
    }
    try:
        return MultiplicationRequest.model_validate(asked, strict=False)
    except ValidationError as error:
        raise FormError(place(field_errors(error.errors()), str(error), form)) from error


def place(problems: Iterable[FieldError], detail: str, form: StudyForm) -> dict[str, str]:
    """Sort errors by field; those without a field of the form go to its head."""
    errors: dict[str, str] = {}
    for problem in problems:
        parts = problem.field.split(".")
        paths = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        name = next((FIELDS[path] for path in paths if path in FIELDS), "form")
        if name == "pair" and not form.pair:
            name = "form"
        errors.setdefault(name, problem.detail)
    return errors or {"form": detail}
