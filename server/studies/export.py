"""The readings of a study as a table: one row a reading, the same columns in CSV and Parquet. A case or digit without
a reading has a row of its own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from server.analyses.export import guarded, table_csv
from server.studies.requests import MultiplicationRequest, PromptsRequest
from server.studies.schema import ALIGNMENTS, Case, DigitResult, ReadingResult, Study

CASE: dict[str, pa.DataType] = {
    "case": pa.int32(),
    "label": pa.string(),
    "error": pa.string(),
    "analysis": pa.string(),
    "reply": pa.string(),
}
DIGIT: dict[str, pa.DataType] = {
    "a": pa.int64(),
    "b": pa.int64(),
    "product": pa.int64(),
    "answer": pa.string(),
    "exact": pa.bool_(),
    "place": pa.int32(),
    "digit": pa.string(),
    "correct": pa.string(),
    "right": pa.bool_(),
    "prefix_right": pa.bool_(),
    "first_layer": pa.int32(),
    "alignment": pa.string(),
}
READING: dict[str, pa.DataType] = {
    "position": pa.int32(),
    "token": pa.string(),
    "reading": pa.string(),
    "reading_error": pa.string(),
    "cos": pa.float64(),
    "fve": pa.float64(),
    "causal": pa.float64(),
}
STATED: dict[str, pa.DataType] = {
    "problem_a": pa.int64(),
    "problem_b": pa.int64(),
    "stated": pa.int64(),
    "true": pa.int64(),
    "hinted": pa.string(),
}
Row = dict[str, Any]


def columns(study: Study) -> dict[str, pa.DataType]:
    """The columns of its table: those of a table of prompts are `row.` and what is measured is `measure.` before
    their names.
    """
    if isinstance(study.request, MultiplicationRequest):
        return CASE | DIGIT | READING | STATED
    names = dict.fromkeys(name for case in study.cases for name in case.row)
    rows = {f"row.{name}": pa.string() for name in names}
    where = {"prompts": [], "capitals": ["where"], "languages": ["language"]}[study.request.kind]
    measures = dict.fromkeys(study.request.measures if isinstance(study.request, PromptsRequest) else ())
    measures |= dict.fromkeys(name for case in study.cases for r in case.readings for name in r.measures)
    places = {name: pa.string() for name in where}
    return CASE | rows | places | READING | {f"measure.{name}": pa.float64() for name in measures}


def results_csv(study: Study) -> bytes:
    """The table as CSV in UTF-8; what is not known is empty."""
    found = columns(study)
    rows = ([_cell(row.get(name)) for name in found] for row in _rows(study))
    return table_csv([guarded(name) or "" for name in found], rows)


def results_parquet(study: Study) -> IO[bytes]:
    """The table as Parquet: an open temporary file, to be read from its beginning and closed."""
    facts = study.model_dump(mode="json", exclude={"cases", "progress"})
    metadata = {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}
    schema = pa.schema(list(columns(study).items()), metadata=metadata)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this function
    pq.write_table(pa.Table.from_pylist(list(_rows(study)), schema=schema), file, compression="zstd")
    file.seek(0)
    return file


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) else value


def _rows(study: Study) -> Iterator[Row]:
    for case in study.cases:
        head = {
            "case": case.number,
            "label": case.label,
            "error": case.error,
            "analysis": case.analysis,
            "reply": case.reply,
            **{f"row.{name}": value for name, value in case.row.items()},
        }
        if case.factors is not None:
            head |= {
                "a": case.factors[0],
                "b": case.factors[1],
                "product": case.product,
                "answer": case.answer,
                "exact": case.exact,
            }
            yield from _digits(case, head)
        else:
            yield from [head | _reading(reading) for reading in case.readings] or [head]


def _digits(case: Case, head: Row) -> Iterator[Row]:
    if not case.digits:
        yield head
    for digit in case.digits:
        for alignment in ALIGNMENTS:
            yield head | _digit(digit) | {"alignment": alignment} | _reading(getattr(digit, alignment))


def _digit(digit: DigitResult) -> Row:
    names = ("place", "digit", "correct", "right", "prefix_right", "first_layer")
    return {name: getattr(digit, name) for name in names}


def _reading(reading: ReadingResult | None) -> Row:
    if reading is None:
        return {}
    first, second = reading.problem or (None, None)
    return {
        "position": reading.position,
        "token": reading.token,
        "reading": reading.text,
        "reading_error": reading.error,
        "cos": reading.cos,
        "fve": reading.fve,
        "causal": reading.causal,
        "problem_a": first,
        "problem_b": second,
        "stated": reading.stated,
        "true": reading.true,
        "hinted": " ".join(reading.hinted),
        "where": reading.where,
        "language": reading.language,
        **{f"measure.{name}": value for name, value in reading.measures.items()},
    }
