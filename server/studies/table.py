"""Tables of prompts: rows out of CSV, and the prompt of each row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from server.errors import BadInput
from server.studies.requests import PromptsRequest
from server.studies.template import Content, filled

PROMPT = "prompt"
"""The column that holds the prompts where there is no template."""
Row = Mapping[str, str]


def rows_of_csv(text: str, most: int) -> list[dict[str, str]]:
    """The rows of a table whose first line names its columns. Raises BadInput, also for more than `most` rows."""
    found: list[dict[str, str]] = []
    try:
        lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
        names = [name.strip() for name in next(lines, [])]
        if not any(names) or len(set(names)) < len(names):
            raise BadInput("csv", "The first line has to name the columns, each by a name of its own.")
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise BadInput(
                    "csv",
                    f"Line {lines.line_num} has {len(cells)} cells, but there are {len(names)} columns. A cell with a "
                    "comma in it stands in double quotes.",
                )
            if len(found) == most:
                raise BadInput("csv", _too_many(f"more than {most:,}", most))
            found.append(dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise BadInput("csv", f"This is not CSV: {error} (line {lines.line_num}).") from error
    return found


def prompts(request: PromptsRequest, most: int) -> list[tuple[Row, Content]]:
    """(row, prompt) of each case. Raises BadInput for none, for more than `most`, and for a template that does not
    fit.
    """
    if request.prompts is not None:
        _check_count("prompts", len(request.prompts), most)
        if request.template is not None:
            raise BadInput("template", "A template is filled from rows or csv: leave it out, or give those.")
        return [({}, prompt) for prompt in request.prompts]
    rows: Sequence[Row] = rows_of_csv(request.csv, most) if request.csv is not None else request.rows or []
    _check_count("csv" if request.csv is not None else "rows", len(rows), most)
    columns = set.intersection(*(set(row) for row in rows))
    if request.template is not None:
        _check_slots(request.template, columns)
        return [(row, filled(request.template, row)) for row in rows]
    column = PROMPT if PROMPT in columns else next(iter(columns)) if len(columns) == 1 else None
    if column is None:
        raise BadInput(
            "template",
            f"Which column holds the prompts? Name it `{PROMPT}`, or give a template with columns in it.",
        )
    return [(row, row[column]) for row in rows]


def _check_count(field: str, count: int, most: int) -> None:
    if count == 0:
        raise BadInput(field, "There is no prompt: give at least one.")
    if count > most:
        raise BadInput(field, _too_many(f"{count:,}", most))


def _too_many(count: str, most: int) -> str:
    return f"The table has {count} rows; a study of this server takes up to {most:,} (NLA_MAX_CASES)."


def _check_slots(template: Content, columns: set[str]) -> None:
    text = template if isinstance(template, str) else "\n".join(message.content for message in template)
    named = set(re.findall(r"\{([^{}\n]{1,80})\}", text))
    if not named & columns:
        raise BadInput(
            "template", f"The template names no column: put one of {_listed(columns)} where a row's words go."
        )


def _listed(columns: set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(columns)[:8])
