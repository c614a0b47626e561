"""Edits as a table: one row an edit, the same columns in CSV and Parquet."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from server.analyses.export import guarded, metadata, table_csv
from server.analyses.schema import Analysis
from server.interventions.schema import Intervention

TEXTS = (
    *(
        "id",
        "url",
        "analysis",
        "created",
        "pair",
        "token",
        "mode",
        "delta",
        "scope",
        "until_token",
        "original",
    ),
    *("text", "targets", "first_before", "first_after", "reply_before", "reply_after"),
)
COUNTS = ("layer", "position", "sample", "until")
NUMBERS = (
    *("alpha", "kl", "cos_original", "score_cos", "score_mse", "score_fve"),
    *("first_before_prob", "first_after_prob", "seconds"),
)
REST = [name for name in Intervention.model_fields if name not in {*TEXTS, *COUNTS, *NUMBERS}]
"""The columns that are no single text or number: JSON, as the API answers it."""
COLUMNS: dict[str, pa.DataType] = (
    dict.fromkeys(TEXTS, pa.string())
    | dict.fromkeys(COUNTS, pa.int32())
    | dict.fromkeys(NUMBERS, pa.float64())
    | dict.fromkeys(REST, pa.string())
)


def edits_csv(analysis: Analysis, edits: Sequence[Intervention]) -> bytes:
    """The edits as CSV in UTF-8; what is not known is empty."""
    rows = [_row(analysis, made) for made in edits]
    return table_csv(
        COLUMNS,
        [[guarded(row[name]) if name in TEXTS else row[name] for name in COLUMNS] for row in rows],
    )


def edits_parquet(analysis: Analysis, edits: Sequence[Intervention]) -> IO[bytes]:
    """The edits as Parquet: an open temporary file, to be read from its beginning and closed."""
    rows = [_row(analysis, made) for made in edits]
    schema = pa.schema(list(COLUMNS.items()), metadata=metadata(analysis))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this function
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")
    file.seek(0)
    return file


def _row(analysis: Analysis, made: Intervention) -> dict[str, Any]:
    """In no order."""
    answer = made.model_dump(mode="json")
    asked = answer["request"]
    (_, first_before, before), (_, first_after, after) = made.before.top[0], made.after.top[0]
    return {
        **{name: answer[name] for name in ("id", "url", "analysis", "created", "pair", "layer", "until")},
        **{name: answer[name] for name in ("kl", "cos_original", "original", "seconds")},
        **{name: asked[name] for name in ("position", "sample", "mode", "delta", "scope", "alpha", "text")},
        **{f"score_{name}": value for name, value in answer["score"].items()},
        "targets": json.dumps(asked["targets"], ensure_ascii=False),
        "token": analysis.tokens[made.request.position].text,
        "until_token": analysis.tokens[made.until].text,
        "first_before": first_before,
        "first_before_prob": before,
        "first_after": first_after,
        "first_after_prob": after,
        "reply_before": made.before.text,
        "reply_after": made.after.text,
        **{name: json.dumps(answer[name], ensure_ascii=False) for name in REST},
    }
