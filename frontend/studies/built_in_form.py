"""The forms that start the two smaller built-in studies, of capitals and of languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from frontend.typed_form import FormError, TypedForm
from server.api.problems import field_errors
from server.errors import FieldError
from server.studies.requests import CapitalsRequest, LanguagesRequest

KINDS: Mapping[str, type[CapitalsRequest | LanguagesRequest]] = {
    "capitals": CapitalsRequest,
    "languages": LanguagesRequest,
}
COUNTS = {"capitals": "countries", "languages": "every"}
"""What the number in the form of each kind is called in the API."""


@dataclass(frozen=True)
class BuiltInForm(TypedForm):
    """Values of the form. `count`: how many countries, or of how many tokens one is read."""

    FOLDED = ("seed", "pair")
    kind: str = "capitals"
    count: str = "20"
    seed: str = "0"
    pair: str = ""


def blank(kind: str) -> BuiltInForm:
    """The form of somebody who has not typed yet."""
    return BuiltInForm(kind=kind, count={"capitals": "20", "languages": "2"}[kind])


def request(form: BuiltInForm) -> CapitalsRequest | LanguagesRequest:
    """The request that the form asks for. Raises FormError with one message a field."""
    if form.kind not in KINDS:
        raise FormError({"form": f"There is no study of {form.kind!r}: choose one of those below."})
    asked: dict[str, Any] = {
        "kind": form.kind,
        COUNTS[form.kind]: form.count.strip(),
        "seed": form.seed.strip(),
        "pair": form.pair or None,
    }
    try:
        return KINDS[form.kind].model_validate(asked, strict=False)
    except ValidationError as error:
        raise FormError(place(field_errors(error.errors()), str(error), form)) from error


def place(problems: Iterable[FieldError], detail: str, form: BuiltInForm) -> dict[str, str]:
    """Sort errors by field; those without a field of the form go to its head."""
    names = {COUNTS.get(form.kind): "count", "seed": "seed"} | ({"pair": "pair"} if form.pair else {})
    errors: dict[str, str] = {}
    for problem in problems:
        errors.setdefault(names.get(problem.field, "form"), problem.detail)
    return errors or {"form": detail}
