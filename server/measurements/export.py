"""Causal scores as a table: one row a reading, the same columns in CSV and Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from server.analyses.export import guarded, metadata, table_csv
from server.analyses.schema import Analysis
from server.errors import Conflict
from server.measurements.schema import CONTROLS, Effect, Measurement, PendingMeasurement

EFFECTS = ("reading", *CONTROLS)
COLUMNS: dict[str, pa.DataType] = (
    {"measurement": pa.string(), "horizon": pa.int32(), "seed": pa.int64()}
    | {"position": pa.int32(), "sample": pa.int32(), "token": pa.string(), "content": pa.bool_()}
    | {"causal_score": pa.float64(), "causal_score_after": pa.float64()}
    | {
        f"{name}_{field}": pa.bool_() if field == "kept" else pa.float64()
        for name in EFFECTS
        for field in Effect.model_fields
    }
)


def measurements_csv(analysis: Analysis, made: Sequence[Measurement]) -> bytes:
    """The scores as CSV in UTF-8; what is not known is empty."""
    rows = [row | {"token": guarded(row["token"])} for row in _rows(analysis, made)]
    return table_csv(COLUMNS, [[row[name] for name in COLUMNS] for row in rows])


def measurements_parquet(analysis: Analysis, made: Sequence[Measurement]) -> IO[bytes]:
    """The scores as Parquet: an open temporary file, to be read from its beginning and closed."""
    schema = pa.schema(list(COLUMNS.items()), metadata=metadata(analysis))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this function
    pq.write_table(pa.Table.from_pylist(list(_rows(analysis, made)), schema=schema), file, compression="zstd")
    file.seek(0)
    return file


def tracked_word_csv(analysis: Analysis, made: Measurement | PendingMeasurement) -> bytes:
    """A word that was tracked as CSV in UTF-8. `whole`: the probability of all its tokens, in the output's rows. Raises
    Conflict for what is no word, or not made yet.
    """
    if isinstance(made, PendingMeasurement) or made.word is None:
        raise Conflict("No word has been tracked here, or its measurement has not ended.")
    track = made.word
    columns = ("word", "lens", "layer", "position", "token", "prob", "rank", "whole")
    output = len(track.layers) - 1
    rows = [
        (
            guarded(variant.word),
            track.lens,
            "output" if row == output else layer,
            token.position,
            guarded(token.text),
            variant.prob[row][token.position],
            variant.rank[row][token.position],
            variant.whole[token.position] if row == output else None,
        )
        for variant in track.variants
        for row, layer in enumerate(track.layers)
        for token in analysis.tokens
    ]
    return table_csv(columns, rows)


def _rows(analysis: Analysis, made: Sequence[Measurement]) -> Iterator[dict[str, Any]]:
    for measurement in made:
        for score in measurement.scores:
            token = analysis.tokens[score.position]
            effects = {name: getattr(score, name) for name in EFFECTS}
            yield {
                "measurement": measurement.id,
                "horizon": measurement.request.horizon,
                "seed": measurement.request.seed,
                "position": score.position,
                "sample": score.sample,
                "token": token.text,
                "content": token.content,
                "causal_score": score.score,
                "causal_score_after": score.after,
                **{
                    f"{name}_{field}": None if effect is None else getattr(effect, field)
                    for name, effect in effects.items()
                    for field in Effect.model_fields
                },
            }
