"""The forms of the vectors' pages: from their fields to requests, with every message beside its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from frontend import formatting
from frontend.edits.edit_form import whole
from frontend.typed_form import FormError
from frontend.vectors.contexts import ReadForm, SumForm
from server.analyses.schema import Verbalise
from server.errors import NlaError
from server.urls import split
from server.vectors.schema import NAME, TERMS, Term, VectorRequest

WEIGHTS = "a number, then the permalink of a token, such as −1 http://…/a/abc?t=12"


def sum_request(form: SumForm) -> VectorRequest:
    """The sum that is asked for. Raises FormError."""
    lines = [(n, line.split()) for n, line in enumerate(form.terms.splitlines(), 1) if line.strip()]
    if not lines or len(lines) > TERMS:
        raise FormError({"terms": f"Give one to {TERMS} tokens, one a line: {WEIGHTS}."})
    if len(form.name.strip()) > NAME:
        raise FormError({"name": f"A name has up to {NAME} letters."})
    terms = [_term(n, words) for n, words in lines]
    if form.kind == "mean":
        terms = [term.model_copy(update={"weight": term.weight / len(terms)}) for term in terms]
    return VectorRequest(name=form.name.strip() or None, sum=terms)


def _term(n: int, words: list[str]) -> Term:
    weight = _number(words[0]) if len(words) > 1 else None
    address, *more = words if weight is None else words[1:]
    place = _place(address, more)
    if place is None:
        raise FormError({"terms": f"Line {n} does not name a token. Write {WEIGHTS}."})
    try:
        return Term(analysis=place[0], position=place[1], weight=1.0 if weight is None else weight)
    except ValidationError as error:
        raise FormError({"terms": f"Line {n}: {error.errors()[0]['msg']}."}) from error


def _place(address: str, more: list[str]) -> tuple[str, int] | None:
    """The analysis and the position: of a permalink, or as two words."""
    parts = split(address)
    if parts is None:
        return None
    _, found, id = parts.path.rpartition("/a/")
    position = parse_qs(parts.query).get("t", [""])[0] if found else "".join(more)
    number = whole(position)
    return None if number is None or not id else (id.strip("/"), number)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ".").replace(formatting.MINUS, "-").rstrip("×*"))
    except ValueError:
        return None


def read_request(form: ReadForm) -> Verbalise:
    """Parse how a vector is to be read. Raises FormError."""
    fields: dict[str, Any] = {
        name: value
        for name in ("samples", "temperature", "max_new_tokens", "seed")
        if (value := getattr(form, name).strip())
    }
    try:
        return Verbalise.model_validate(fields, strict=False)
    except ValidationError as error:
        raise FormError({str(e["loc"][0]): f"{e['msg']}." for e in error.errors()}) from error


def misplaced(error: NlaError, default: str, fields: Mapping[str, object]) -> dict[str, str]:
    """An error of the server beside the field of the form that it is about; a term of a sum is a line."""
    field, _, rest = (error.field or "").partition(".")
    if field == "sum":
        line = rest.partition(".")[0]
        return {"terms": f"Line {int(line) + 1}: {error.detail}" if line.isdigit() else error.detail}
    return {field if field in fields else default: error.detail}
