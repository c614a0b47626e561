from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from server.analyses.json_stream import analysis_json, data_json
from server.analyses.lens_table import LensTable
from server.analyses.schema import Analysis, AnalysisRequest, Reading, ReadingDelta, Token
from server.jobs.progress import Progress

pytestmark = pytest.mark.anyio
COUNT = 1203  # more than two parts


def analysis(lens: LensTable | None = None) -> Analysis:
    return Analysis(
        id="x",
        url="/a/x",
        status="running",
        request=AnalysisRequest(text="a\0\N{CAT FACE}"),
        pair="p",
        tokens=[
            Token(position=i, id=i, text=chr(i), kind="prompt", role="text", special=False)
            for i in range(COUNT)
        ],
        readings=[Reading(position=i, text=f"{i}", mse=float("nan")) for i in range(COUNT)],
        lens=lens,
        progress=Progress(stage="readings"),
        created=datetime(2026, 11, 21, tzinfo=UTC),
    )


def a_lens() -> LensTable:
    cells = np.full((2, 3), 0.5, np.float32)
    ids = np.zeros((2, 3, 1), np.int32)
    return LensTable(
        [0, 1], cells, cells.astype(np.int32), cells, cells, ids, ids.astype(np.float32), {0: "a"}
    )


@pytest.mark.parametrize("lens", [None, a_lens()])
async def test_the_parts_make_what_one_dump_makes(lens: LensTable | None) -> None:
    whole = analysis(lens).model_copy(update={"tuned_lens": lens})
    assert json.loads(await analysis_json(whole)) == json.loads(whole.model_dump_json())


async def test_an_event_is_one_line_whatever_the_text_holds() -> None:
    text = "a\nb\rc\x85d\u2028e\u2029f\x1cg\x0bh\0"
    line = await data_json(ReadingDelta(position=0, sample=0, text=text))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["text"] == text
    tokens = await data_json(analysis().tokens)
    assert len(tokens.splitlines()) == 1
    assert [token["text"] for token in json.loads(tokens)] == [chr(i) for i in range(COUNT)]


async def test_nothing_else_is_an_event() -> None:
    with pytest.raises(TypeError, match="cannot carry a str"):
        await data_json("text")
