"""Whatever comes from outside is taken or refused, never stumbled over: hypothesis looks for what breaks a parser."""

from __future__ import annotations

import csv
import io
import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from frontend import event_stream
from server.errors import BadInput, CheckpointError
from server.nla.checkpoints.profile import AS_RELEASED
from server.nla.checkpoints.sidecar import QUESTIONS, Sidecar
from server.studies import parse, table, yaml_file
from server.vectors import files
from tests.fuzz import steady

pytestmark = pytest.mark.faults
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "X", "")


def read_as_a_browser(stream: str) -> list[tuple[str, str]]:
    """(event, data) of each event, by the algorithm of the HTML standard, 9.2.6."""
    events, name, data = [], "", []
    for line in stream.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        field, _, value = line.partition(":")
        if not line:
            if data:
                events.append((name or "message", "\n".join(data)))
            name, data = "", []
        elif field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
    return events


@steady
@given(st.text(), st.sampled_from([None, "ping", "done"]))
@example("a\r\n\r\nevent: done\r\rb\u2028c\x00\x85", None)
@example("", None)
def test_an_event_reaches_the_page_as_it_was_written(data: str, event: str | None) -> None:
    sent = (event_stream.message(data, event=event) * 2).decode()
    written = data.replace("\r\n", "\n").replace("\r", "\n")
    assert read_as_a_browser(sent) == [(event or "message", written)] * 2


@steady
@given(st.binary(max_size=400), st.none() | st.text(max_size=5))
def test_any_file_is_a_vector_or_refused(data: bytes, tensor: str | None) -> None:
    try:
        assert files.read(data, tensor).ndim == 1
    except BadInput as refused:
        assert refused.field in ("file", "tensor")


@steady
@given(
    header=st.dictionaries(
        st.text(max_size=5) | st.just("__metadata__"),
        st.fixed_dictionaries(
            {},
            optional={
                "dtype": st.sampled_from(DTYPES) | VALUES,
                "shape": st.lists(st.integers(-1, 9), max_size=3) | VALUES,
                "data_offsets": st.lists(st.integers(-4, 70), min_size=2, max_size=2) | VALUES,
            },
        )
        | VALUES,
        max_size=3,
    ),
    data=st.binary(max_size=70),
    length=st.none() | st.integers(0, 2**64 - 1),
)
def test_any_header_of_safetensors_is_read_or_refused(
    header: dict[str, Any], data: bytes, length: int | None
) -> None:
    written = json.dumps(header).encode("utf-8", "surrogatepass")
    said = struct.pack("<Q", len(written) if length is None else length)
    try:
        found = files.read(said + written + data, None)
    except BadInput as refused:
        assert refused.field in ("file", "tensor")
    else:
        assert found.ndim == 1 and found.dtype == np.float64


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for name, value in fields.items():
        *above, last = name.split(".")
        place = whole
        for key in above:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                return whole
        place[last] = value
    return whole


ASKED = [
    *("kind", "role", "extraction_layer_index", "extraction.layer_index", "critic.num_hidden_layers"),
    *("prompt_templates.av", "prompt_templates.actor", "prompt_templates", "extraction", "scale"),
    *QUESTIONS,
]
PLAUSIBLE = st.sampled_from(
    ["nla_model", "av", "actor", "ar", "sqrt_d_model", 20, 576, 1.5, True, [20], {"a": 1}]
)


@steady
@given(
    st.dictionaries(st.sampled_from(ASKED), PLAUSIBLE | VALUES, max_size=8),
    st.booleans(),
    st.none() | st.dictionaries(st.sampled_from(["hidden_size", "text_config"]), VALUES) | VALUES,
)
def test_any_sidecar_is_read_or_refused_with_the_name_of_a_check(
    fields: dict[str, Any], ours: bool, config: Any
) -> None:
    meta = _nested(fields | ({"kind": "nla_model", "role": "av"} if ours else {}))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nla_meta.yaml").write_text(yaml.safe_dump(meta), "utf-8")
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        try:
            sidecar = Sidecar(folder, "av")
        except CheckpointError as refused:
            assert refused.check
            return
        for question in (
            sidecar.layer,
            sidecar.template,
            sidecar.d_model,
            lambda: sidecar.scale("scale", 576, AS_RELEASED),
            *(lambda field=field: sidecar.need(field, int) for field in QUESTIONS),
        ):
            try:
                question()
            except CheckpointError as refused:
                assert refused.check


@steady
@given(st.binary(max_size=200))
def test_any_bytes_as_a_sidecar_are_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "nla_meta.yaml").write_bytes(data)
        with pytest.raises(CheckpointError):
            Sidecar(Path(name), "av")


@steady
@given(st.text(max_size=200), st.booleans())
@example("[" * 3000, False)
@example("a: &b [*b]", True)
@example("? [a]\n: 1", True)
@example("2001-02-30: 1", True)
def test_any_declaration_is_read_or_refused(text: str, aliases: bool) -> None:
    try:
        assert isinstance(yaml_file.read(text, aliases=aliases), dict)
    except BadInput as refused:
        assert refused.field == "yaml"


@steady
@given(st.text(alphabet=st.sampled_from('ab",\n\r\0 \ufeff') | st.characters(), max_size=80))
def test_any_table_is_read_or_refused(text: str) -> None:
    try:
        rows = table.rows_of_csv(text, 5)
    except BadInput as refused:
        assert refused.field == "csv"
    else:
        assert len(rows) <= 5 and all(set(row) == set(rows[0]) for row in rows)


@steady
@given(st.lists(st.lists(st.text(min_size=1), min_size=2, max_size=2), max_size=4))
def test_a_table_that_was_written_is_read_as_it_was(cells: list[list[str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([["a", "b"], *cells])
    there = [row for row in cells if any(cell.strip() for cell in row)]
    assert [list(row.values()) for row in table.rows_of_csv(written.getvalue(), 5)] == there


NUMBERS = st.sampled_from(
    ["9", "×", "12", "*", "=", "8 and 2", "results in", "1,680", "twelve", "digit", "next", "\u0661"]
)


@steady
@given(st.text(max_size=120) | st.lists(NUMBERS | st.text(max_size=4), max_size=12).map(" ".join))
def test_any_words_are_searched_for_numbers(text: str) -> None:
    for problem in parse.problems(text):
        assert problem.factors is not None or problem.result is not None
    stated = parse.stated_result(text)
    assert stated is None or stated >= 0
    assert all(len(digit) == 1 and digit in "0123456789" for digit in parse.hinted_digits(text))
