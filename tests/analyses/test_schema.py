from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from server.analyses.schema import AnalysisRequest, Reading
from server.api.problems import field_errors
from server.jobs.progress import Progress

TEXT = {"text": "hello"}


def fields(body: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        AnalysisRequest.model_validate(body)
    return [error.field for error in field_errors(caught.value.errors())]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"text": "a", "messages": [{"role": "user", "content": "b"}]}, ""),
        ({"text": ""}, "text"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        ({"messages": [{"content": "a"}]}, "messages.0.role"),
        ({"text": "half \ud800 of a pair"}, "text"),
        ({**TEXT, "positions": "some"}, "positions"),
        ({**TEXT, "positions": 4}, "positions"),
        ({**TEXT, "positions": [0, 1, -1]}, "positions.2"),
        ({**TEXT, "positions": [0, 1.5]}, "positions.1"),
        ({**TEXT, "positions": [True]}, "positions.0"),
        ({**TEXT, "generate": {"temperature": float("nan")}}, "generate.temperature"),
        ({**TEXT, "generate": {"temperature": float("inf")}}, "generate.temperature"),
        ({**TEXT, "generate": {"max_new_tokens": 0}}, "generate.max_new_tokens"),
        ({**TEXT, "generate": {"seed": 2**40}}, "generate.seed"),
        ({**TEXT, "verbalise": {"samples": 0}}, "verbalise.samples"),
        ({**TEXT, "verbalise": {"temperature": -0.1}}, "verbalise.temperature"),
        ({**TEXT, "postions": "all"}, "postions"),
        ({**TEXT, "continue_final_message": True}, "continue_final_message"),
        (
            {"messages": [{"role": "user", "content": "a"}], "continue_final_message": True},
            "continue_final_message",
        ),
        ({"messages": [], "continue_final_message": True}, "messages"),
    ],
)
def test_a_bad_request_names_the_field(body: dict[str, Any], field: str) -> None:
    assert fields(body) == [field]


def test_a_reading_with_an_infinite_score_is_written_with_null() -> None:
    assert '"mse":null' in Reading(position=0, mse=float("inf")).model_dump_json()
    assert '"seconds_left":null' in Progress(stage="lens", seconds_left=float("nan")).model_dump_json()


@pytest.mark.parametrize(
    ("reading", "scored"),
    [
        (Reading(position=0, text="a"), False),
        (Reading(position=0, text="a", cos=0.0), True),
        (Reading(position=0, error="broken"), True),
    ],
)
def test_a_reading_is_settled_by_a_score_or_by_an_error(reading: Reading, scored: bool) -> None:
    assert reading.scored is scored
