"""The problems of a study of multiplication: which factors, in which order, and the prompt of each."""

from __future__ import annotations

import random
from collections.abc import Sequence

from server.analyses.schema import AnalysisRequest, Generate, Message
from server.errors import BadInput
from server.studies.requests import MultiplicationRequest
from server.studies.template import Content, asking, filled

Factors = tuple[int, int]
WORKED = 8
"""Worked lines before the problem, where no template was given."""
BESIDES = 8
"""Tokens that an answer may have besides its digits: a blank, words before it, the end of the turn."""


def drawn(request: MultiplicationRequest) -> tuple[list[Factors], list[Factors]]:
    """(worked examples, problems), all different, drawn without replacement: the first problems of a longer draw with
    the same seed are those of a shorter one. Raises BadInput when the ranges hold too few.
    """
    (low, high), (first, last) = request.factors
    width = last - first + 1
    size = (high - low + 1) * width
    shown = WORKED if request.template is None else 0
    if request.problems + shown > size:
        examples = f" besides the {shown} worked examples" if shown else ""
        raise BadInput(
            "problems",
            f"The two ranges hold {size:,} problems: {request.problems:,} cannot be drawn{examples}. Widen the ranges, "
            "or ask for fewer.",
        )
    chosen = _shuffled(size, request.problems + shown, request.seed)
    pairs = [(low + index // width, first + index % width) for index in chosen]
    return pairs[:shown], pairs[shown:]


def _shuffled(size: int, count: int, seed: int) -> list[int]:
    """The first `count` of a shuffle of 0 … size-1 (Fisher and Yates's, of which only what moved is kept)."""
    generator = random.Random(seed)
    moved: dict[int, int] = {}
    found = []
    for n in range(count):
        other = generator.randrange(n, size)
        found.append(moved.get(other, other))
        moved[other] = moved.get(n, n)
    return found


def prompt(request: MultiplicationRequest, worked: Sequence[Factors], factors: Factors) -> AnalysisRequest:
    """The analysis of one problem, without positions: the model's greedy answer to the prompt."""
    longest = len(str(request.factors[0][1] * request.factors[1][1])) + BESIDES
    return asking(
        _filled(request, worked, factors),
        request,
        Generate(max_new_tokens=longest, temperature=0.0),
    )


def _filled(request: MultiplicationRequest, worked: Sequence[Factors], factors: Factors) -> Content:
    if request.template is not None:
        return filled(request.template, {"a": str(factors[0]), "b": str(factors[1])})
    lines = [f"{a} * {b} = {a * b}" for a, b in worked]
    begun = f"{factors[0]} * {factors[1]} ="
    return [
        Message(role="user", content="\n".join(["Multiply.", *lines, begun])),
        Message(role="assistant", content=begun),
    ]
