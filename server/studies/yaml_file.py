"""Declarations of studies as YAML: read into the fields of a request, and written so that they can be run again."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import TypeAdapter

from server.errors import BadInput
from server.studies.requests import Request, StudyRequest

REQUEST: TypeAdapter[Request] = TypeAdapter(StudyRequest)
KINDS = "`kind:`, such as `kind: multiplication` or `kind: prompts`"


class _Writer(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(writer: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _text)


def read(text: str, *, aliases: bool = True) -> dict[str, Any]:
    """The fields that a declaration has, not checked yet. Without `aliases` one that repeats a part of itself by them
    is refused: a few lines could stand for more than fits into memory. Raises BadInput.
    """
    try:
        if not aliases and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise BadInput("yaml", "Aliases (*name) are not taken here: write the part out.")
        asked = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput("yaml", f"This is not YAML: {error}") from error
    if not isinstance(asked, dict):
        raise BadInput("yaml", f"This declares no study: it begins with {KINDS}.")
    asked = {str(name): value for name, value in asked.items()}
    if isinstance(asked.get("rows"), list):
        asked["rows"] = [_words(row) for row in asked["rows"]]
    return asked


def written(request: Request, *, ascii: bool = False) -> str:
    """The declaration, without what would be the same if it were left out."""
    asked = request.model_dump(mode="json", exclude_defaults=True)
    return yaml.dump(asked, Dumper=_Writer, sort_keys=False, allow_unicode=not ascii, width=100)


def _words(row: object) -> object:
    """A row whose cells are words: YAML takes 7 for a number, and no for false."""
    if not isinstance(row, dict):
        return row
    return {str(name): "" if value is None else str(value) for name, value in row.items()}
