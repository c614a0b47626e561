"""A made-up study of multiplication: its cases are written here, its statistics are the server's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from server.jobs.progress import Progress
from server.studies.multiplication_figures import figures
from server.studies.requests import MultiplicationRequest
from server.studies.schema import Case, DigitEdit, DigitResult, ReadingResult, Study

MADE = datetime(2026, 11, 28, 12, tzinfo=UTC)
LAYERS = 30
ALPHAS = (0.5, 1.0, 2.0, 4.0)


def reading(position: int, token: str, text: str, **more: Any) -> ReadingResult:
    return ReadingResult(
        position=position, token=token, url=f"/a/abc?t={position}", text=text, fve=0.5, cos=0.8, **more
    )


def case(number: int, factors: tuple[int, int], answer: str, stated: int | None, **more: Any) -> Case:
    """A case whose readings state one result, and hint the digit that the model writes."""
    product = factors[0] * factors[1]
    digits = []
    for place, digit in enumerate(answer):
        correct = str(product)[place] if place < len(str(product)) else None
        right, position = digit == correct, 100 + place
        words = f'The final token is "{digit}"; next perhaps "4".'
        if stated is not None:
            words += f' The text runs "{factors[0]} * {factors[1]} = {stated}".'
        said = {"stated": stated, "problem": factors, "true": product, "hinted": [digit, "4"]}
        first = 24 if right else 27
        edits = [
            DigitEdit(
                alpha=alpha,
                intended="9",
                first="9" if alpha > 2 and number % 3 == 0 else digit,
                outcome="intended" if alpha > 2 and number % 3 == 0 else "produced" if alpha < 3 else "other",
                prob=min(0.9, 0.1 * alpha),
                random_prob=0.05,
                kl=alpha,
                random_kl=0.1,
                url="/a/abc",
            )
            for alpha in ALPHAS
        ]
        digits.append(
            DigitResult(
                place=place,
                digit=digit,
                correct=correct,
                right=right,
                prefix_right=answer[:place] == str(product)[:place],
                position=position,
                at=reading(position, digit, words, **said),
                before=reading(position - 1, "=", f'next comes "{digit}"', hinted=[digit]),
                first_layer=first,
                ranks=[max(0, 100 * (first - layer)) for layer in range(LAYERS)],
                edits=edits if number % 2 else [],
            )
        )
    a, b = factors
    return Case(
        number=number,
        label=f"{a} × {b}",
        analysis="abc",
        url="/a/abc",
        answer=answer,
        reply=f" {answer}",
        factors=factors,
        product=product,
        exact=answer == str(product),
        digits=digits,
        **more,
    )


def cases(count: int, states: bool = True) -> list[Case]:
    """Cases of which two in five are right; half of the readings state the model's answer."""
    random = np.random.default_rng(3)
    found = []
    for number in range(count):
        a, b = int(random.integers(20, 100)), int(random.integers(2, 10))
        answer = a * b + (0 if number % 5 < 2 else int(random.integers(1, 40)))
        stated = None if not states else answer if number % 2 else int(random.integers(40, 900))
        found.append(case(number, (a, b), str(answer), stated))
    return found


def study(made: list[Case], **more: Any) -> Study:
    asked = {"problems": max(1, len(made)), "factors": [[20, 99], [2, 9]], "edit_alphas": list(ALPHAS)}
    request = MultiplicationRequest.model_validate(
        {"kind": "multiplication", **asked, **more.pop("asked", {})}
    )
    found = figures(made, request)
    return Study(
        **{
            "id": "study1",
            "url": "/s/study1",
            "kind": "multiplication",
            "title": "20–99 × 2–9",
            "status": "done",
            "request": request,
            "pair": "fake",
            "layer": 20,
            "progress": Progress(stage="done", done=len(made), total=len(made)),
            "statistics": found.statistics,
            "comparisons": found.comparisons,
            "notes": found.notes,
            "cases": made,
            "created": MADE,
            "finished": MADE,
            "seconds": 130.0,
            **more,
        }
    )
