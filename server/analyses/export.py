"""An analysis as files for other programs: readings as CSV, readings with their vectors as Parquet, and what
its siblings read, as either.

One row a reading, the same columns in both. In CSV a text that a spreadsheet might take for a formula gets an
apostrophe in front, since prompts and models' words are anybody's; so does one that begins with an
apostrophe, so that whoever takes one off has every text back. JSON and Parquet hold all texts as they are.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from typing import IO, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from server.analyses import row_mapping
from server.analyses.row_mapping import readable
from server.analyses.schema import Analysis, Reading, SiblingReadings, Token
from server.store import repository
from server.store.tables import ReadingRow
from server.store.vectors import unpack

COLUMNS: dict[str, pa.DataType] = {
    "position": pa.int32(),
    "token": pa.string(),
    "role": pa.string(),
    "kind": pa.string(),
    "sample": pa.int32(),
    "reading": pa.string(),
    "cos": pa.float64(),
    "mse": pa.float64(),
    "fve": pa.float64(),
    "rank": pa.int32(),
    "rank_of": pa.int32(),
    "norm": pa.float64(),
    "flags": pa.list_(pa.string()),
    "truncated": pa.bool_(),
    "error": pa.string(),
}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of a text that a spreadsheet might calculate."""
_PART = 256
"""Readings in memory at a time: an activation of a large model has 32 KB, and there may be thousands."""


SIBLING_COLUMNS = {"pair": pa.string(), "layer": pa.int32(), "analysis": pa.string()} | COLUMNS


def attachment(analysis: Analysis, extension: str) -> dict[str, str]:
    """Headers that make a browser keep the answer, under a name that tells one analysis from another."""
    words = re.findall(r"\w+", unicodedata.normalize("NFC", row_mapping.title_of(analysis.request).lower()))
    parts = [re.sub(r"[^\w.-]+", "-", analysis.pair), "-".join(words)[:40].strip("-"), analysis.id]
    parts += [] if analysis.status == "done" else [analysis.status]
    name = "_".join(part for part in parts if part) + f".{extension}"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    }


def readings_csv(analysis: Analysis) -> bytes:
    """Its readings as CSV in UTF-8. Flags are parted by blanks; what is not known is empty."""
    return table_csv(COLUMNS, (_csv_row(analysis.tokens, reading) for reading in analysis.readings))


def siblings_csv(siblings: Sequence[SiblingReadings]) -> bytes:
    """The siblings' readings, as `readings_csv`, each row after the pair, the layer and the analysis that it is of."""
    rows = (
        [guarded(there.pair), there.layer, there.id, *_csv_row(there.tokens, reading)]
        for there in siblings
        for reading in there.readings
    )
    return table_csv(SIBLING_COLUMNS, rows)


def siblings_parquet(analysis: Analysis, siblings: Sequence[SiblingReadings]) -> IO[bytes]:
    """The same as Parquet, without vectors: an open temporary file, to be read from its beginning and closed."""
    rows = [
        {"pair": there.pair, "layer": there.layer, "analysis": there.id, **_row(there.tokens, reading)}
        for there in siblings
        for reading in there.readings
    ]
    schema = pa.schema(list(SIBLING_COLUMNS.items()), metadata=metadata(analysis))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this function
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="zstd")
    file.seek(0)
    return file


def table_csv(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """A table as CSV in UTF-8."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(columns)
    table.writerows(rows)
    return out.getvalue().encode()


def readings_parquet(analysis: Analysis, session: Session) -> IO[bytes]:
    """Its readings as Parquet, with `activation` and `reconstruction` (float32; kept in half precision).

    Returns an open temporary file, to be read from its beginning and closed.
    """
    blob = repository.activations(analysis.id, session)
    with readable(analysis.id):
        activations = None if blob is None else unpack(blob)
    vector = (
        pa.list_(pa.float32(), activations.shape[1]) if activations is not None else pa.list_(pa.float32())
    )
    columns = {**COLUMNS, "activation": vector, "reconstruction": vector}
    schema = pa.schema(list(columns.items()), metadata=metadata(analysis))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this function
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for part in repository.readings_in_parts(analysis.id, _PART, session):
            writer.write_table(_part(analysis.tokens, part, activations, schema))
    file.seek(0)
    return file


def _row(tokens: Sequence[Token], reading: Reading) -> dict[str, Any]:
    """In the order of COLUMNS. A position after the text's end has a reading (that failed), but no token."""
    token = tokens[reading.position] if reading.position < len(tokens) else None
    return {
        "position": reading.position,
        "token": token and token.text,
        "role": token and token.role,
        "kind": token and token.kind,
        "sample": reading.sample,
        "reading": reading.text,
        "cos": reading.cos,
        "mse": reading.mse,
        "fve": reading.fve,
        "rank": reading.rank,
        "rank_of": reading.rank_of,
        "norm": token and token.norm,
        "flags": token.flags if token else [],
        "truncated": reading.truncated,
        "error": reading.error,
    }


def _csv_row(tokens: Sequence[Token], reading: Reading) -> Iterable[Any]:
    row = _row(tokens, reading)
    row |= {name: guarded(row[name]) for name in ("token", "reading", "error")}
    row |= {"flags": " ".join(row["flags"]), "truncated": str(reading.truncated).lower()}
    return row.values()


def guarded(text: str | None) -> str | None:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text is not None and text.startswith((*FORMULA, "'")) else text


def metadata(analysis: Analysis) -> dict[str, str]:
    """Metadata of the numbers; values that are no text are JSON."""
    facts = analysis.model_dump(
        mode="json", exclude={"tokens", "readings", "lens", "tuned_lens", "progress", "timings", "focus"}
    )
    return {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}


def _part(
    tokens: Sequence[Token],
    rows: Sequence[ReadingRow],
    activations: NDArray[np.float32] | None,  # [T, d]
    schema: pa.Schema,
) -> pa.Table:
    cells = [_row(tokens, row_mapping.reading_of(row)) for row in rows]
    columns = [pa.array([cell[name] for cell in cells], kind) for name, kind in COLUMNS.items()]
    known = len(activations) if activations is not None else 0
    read = [activations[r.position] if activations is not None and r.position < known else None for r in rows]
    made = [unpack(row.vector)[0] if row.vector is not None else None for row in rows]
    kind = schema.field("activation").type
    return pa.Table.from_arrays([*columns, _vectors(read, kind), _vectors(made, kind)], schema=schema)


def _vectors(vectors: Sequence[NDArray[np.float32] | None], kind: pa.DataType) -> pa.Array:
    if all(vector is None for vector in vectors):
        return pa.nulls(len(vectors), kind)
    blank = np.zeros(kind.list_size, np.float32)
    numbers = np.concatenate([blank if vector is None else vector for vector in vectors])
    missing = pa.array([vector is None for vector in vectors])
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers, pa.float32()), kind.list_size, mask=missing)
