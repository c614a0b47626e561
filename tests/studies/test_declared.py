"""What a study declares: problems that are drawn, digits that are found in tokens, tables, rules of positions."""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.analyses.schema import Token
from server.errors import BadInput
from server.studies.digits import answer_of, positions_of
from server.studies.drawing import WORKED, drawn
from server.studies.multiplication import Multiplication
from server.studies.patterns import SECONDS, TooSlow, compiled, finds
from server.studies.prompts import Prompts
from server.studies.requests import MultiplicationRequest, PromptsRequest
from server.studies.table import rows_of_csv
from tests.studies.sums import asked, prompts


def multiplication(**more: Any) -> MultiplicationRequest:
    request = asked(**more)
    assert isinstance(request, MultiplicationRequest)
    return request


def prompt_study(**more: Any) -> Prompts:
    request = prompts(**more)
    assert isinstance(request, PromptsRequest)
    return Prompts(request, 1000)


def tokens(*texts: str, prompt: int = 1) -> list[Token]:
    """Tokens of which the first are the prompt's; those in <> are special."""
    return [
        Token(
            position=n,
            id=n,
            text=text,
            kind="prompt" if n < prompt else "generated",
            role="assistant",
            special=text.startswith("<"),
        )
        for n, text in enumerate(texts)
    ]


def test_a_longer_draw_begins_with_a_shorter_one() -> None:
    worked, few = drawn(multiplication(problems=20))
    again, many = drawn(multiplication(problems=600))
    assert (again, many[:20]) == (worked, few)
    assert len({*worked, *many}) == WORKED + 600
    assert all(20 <= a <= 99 and 2 <= b <= 9 for a, b in [*worked, *many])
    assert drawn(multiplication(problems=20, seed=8))[1] != few


def test_a_draw_can_take_all_there_are_and_no_more() -> None:
    small: dict[str, Any] = {"factors": [[1, 3], [1, 2]], "template": "{a} * {b} ="}
    assert set(drawn(multiplication(problems=6, **small))[1]) == {(a, b) for a in (1, 2, 3) for b in (1, 2)}
    with pytest.raises(BadInput, match="hold 6 problems: 7 cannot be drawn"):
        drawn(multiplication(problems=7, **small))
    with pytest.raises(BadInput, match="besides the 8 worked examples"):
        drawn(multiplication(problems=1, factors=[[1, 2], [1, 4]]))


def test_a_template_is_filled_once() -> None:
    request = multiplication(problems=1, template="{a}{b} {b}{a} {c}")
    (spec,) = Multiplication(request).specs()
    assert spec.request is not None and spec.request.messages is not None and spec.factors is not None
    a, b = spec.factors
    assert spec.request.messages[0].content == f"{a}{b} {b}{a} {{c}}"


def test_without_a_template_the_worked_lines_come_before_a_begun_one() -> None:
    (spec,) = Multiplication(multiplication(problems=1)).specs()
    assert spec.request is not None and spec.request.messages is not None and spec.factors is not None
    question, begun = spec.request.messages
    a, b = spec.factors
    assert question.content.count(" = ") == WORKED
    assert (begun.role, begun.content) == ("assistant", f"{a} * {b} =")
    assert spec.request.continue_final_message


@pytest.mark.parametrize(
    ("reply", "text", "positions"),
    [
        ([" ", "1", "8", "4", "<end>"], "184", [1, 2, 3, 4]),
        ([" 184", "\n", "9"], "184", [0, 1]),
        ([" 18", "4."], "184", [0, 1, 2]),
        (["1", ",", "184", " or 9"], "1184", [0, 1, 2, 3]),
        (["46", " times ", "4", " is", " 184"], "184", [4, 5]),
        (["46"], "46", [0, 1]),
        (["no", " idea", "<reserved_1>"], None, []),
    ],
)
def test_the_digits_of_an_answer_are_found_in_its_tokens(
    reply: list[str], text: str | None, positions: list[int]
) -> None:
    answer = answer_of(tokens("46 * 4 =", *reply), (46, 4))
    assert (None if answer is None else answer.text) == text
    assert positions_of(answer) == positions


def test_digits_of_one_token_stand_at_one_position() -> None:
    answer = answer_of(tokens("=", " 18", "4"), (46, 4))
    assert answer is not None
    assert [(d.place, d.digit, d.position) for d in answer.digits] == [(0, "1", 1), (1, "8", 1), (2, "4", 2)]


@pytest.mark.parametrize(
    ("rule", "positions"),
    [
        ("all", [0, 1, 2, 3, 4, 5]),
        ("last", [4]),
        ("digits", [2, 5]),
        ("before_digits", [1, 4]),
        ({"token": "cat"}, [1]),
        ({"token": "{animal}"}, [1]),
        ({"regex": r"t 4|\."}, [1, 2, 3]),
        ({"regex": "dog"}, []),
    ],
)
def test_positions_are_found_by_rule(rule: Any, positions: list[int]) -> None:
    study = prompt_study(rows=[{"animal": "cat", "prompt": "x"}], positions=rule)
    (spec,) = study.specs()
    text = tokens("<start>", " cat", " 4", ".", "<end>", "7", prompt=5)
    assert study.positions(spec, text) == positions


def test_a_search_is_bounded_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(TooSlow, match="was given up"):
        finds(compiled(r"^(\w|\W|.)+\b\B", "x"), "some words, 0.25 and more of them" * 4)
    assert time.monotonic() - began < 10 * SECONDS


@pytest.mark.parametrize("pattern", ["(", "[", "((((a{1000}){1000}){1000}){1000})", "a{99999999999}"])
def test_an_expression_that_is_none_or_would_be_huge_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(BadInput) as refused:
        prompt_study(prompts=["x"], measures={"m": {"regex": pattern}})
    assert refused.value.field == "measures.m.regex"


def test_a_table_is_read() -> None:
    assert rows_of_csv('\ufeffa, b\r\n1,"2, 3"\r\n\r\n4,5\r\n', 2) == [
        {"a": "1", "b": "2, 3"},
        {"a": "4", "b": "5"},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has to name the columns"),
        ("a,a\n1,2\n", "a name of its own"),
        ("a,b\n1\n", "Line 2 has 1 cells, but there are 2 columns"),
        ('a\n"open\n', "This is not CSV"),
        ("a\n" + "x\n" * 100_000, "more than 1,000 rows"),
    ],
)
def test_a_table_that_does_not_fit_says_why(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        rows_of_csv(text, 1000)
    assert refused.value.field == "csv"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"csv": "a,b\n1,2\n"}, "template"),
        ({"rows": [{"a": "1"}], "template": "nothing here"}, "template"),
        ({"prompts": ["x"], "template": "{a}"}, "template"),
        ({"prompts": []}, "prompts"),
        ({"csv": "a\n"}, "csv"),
        ({"rows": [{"prompt": "x"}] * 1001}, "rows"),
    ],
)
def test_prompts_that_cannot_be_made_name_their_field(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        prompt_study(**request_).specs()
    assert refused.value.field == field
