"""The digit edit: another digit in the words, patched in at each strength, beside random directions."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from fastapi import FastAPI

from server.interventions.schema import Intervention, InterventionRequest, SweepPoint
from server.interventions.sweep import RANDOM
from server.studies.declaration import PlannedEdit
from server.studies.multiplication import outcomes
from server.studies.schema import DigitResult
from tests.analyses.asking import analyses_of
from tests.analyses.editing import interventions_of
from tests.fakes import Vector
from tests.studies.sums import asked, made

HINTS = " or ".join(f'"{digit}"' for digit in range(1, 6))


def hinting(vector: Vector, sample: int = 0) -> str:
    """A reading that hints the digits 1 to 5, and is of this activation alone."""
    letters = hashlib.sha256(vector.tobytes()).hexdigest()
    return f"next comes {HINTS}. " + "".join(chr(97 + int(letter, 16)) for letter in letters)


@pytest.mark.anyio
async def test_a_digit_that_is_hinted_is_edited_at_each_strength(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.text_of", hinting)
    study = await made(app, asked(4, edit_alphas=[2, 1]))
    assert study.status == "done", study.error
    digits = [(case, digit) for case in study.cases for digit in case.digits]
    assert any(digit.digit in "12345" for _, digit in digits)
    for case, digit in digits:
        assert [edit.alpha for edit in digit.edits] == ([1, 2] if digit.digit in "12345" else [])
        for edit in digit.edits:
            assert edit.intended != digit.digit and edit.intended in "0123456789"
            assert edit.outcome == "broken" and edit.first.isalpha()  # the fake's first choice is a letter
            assert edit.prob == pytest.approx(1 / (2 + edit.kl), rel=1e-4)
            assert edit.random_kl == pytest.approx(edit.kl, rel=1e-3)
            assert edit.random_hits == [False] * RANDOM  # a letter is no digit
            assert edit.url.startswith(f"/a/{case.analysis}?t={digit.position - 1}&edit=")
    found = study.statistics["edits"]
    edited = [digit for _, digit in digits if digit.edits]
    assert (found["broken_at_1"].value, found["intended_at_2"].value) == (1, 0)
    assert found["prob_at_2"].n == len(edited)
    assert found["prob_at_2"].value == pytest.approx(np.mean([d.edits[1].prob for d in edited]))
    made_of = await analyses_of(app).get(edited[0].edits[0].url[3:].partition("?")[0])
    assert made_of.status == "done"
    seeds = {(await made_by(app, digit)).request.seed for digit in edited}
    assert len(seeds) == len(edited)  # each has random directions of its own


async def made_by(app: FastAPI, digit: DigitResult) -> Intervention:
    url = digit.edits[0].url
    found = await interventions_of(app).get(url[3:].partition("?")[0], url.rpartition("=")[2])
    assert isinstance(found, Intervention)
    return found


def test_an_edit_is_judged_by_what_the_model_says_first() -> None:
    firsts = ["7", " 7", "4", "40", "the", ""]
    points = [
        SweepPoint(
            alpha=n,
            kl=1,
            first=(0, first, 0.5),
            probs=[0.1],
            random_kl=1,
            random_interval=(1, 1),
            random_probs=[0.2],
            random_firsts=["7", " 7", "the"],
        )
        for n, first in enumerate(firsts, 1)
    ]
    plan = PlannedEdit(0, InterventionRequest(position=1, text="x"), produced=" 4", intended=" 7", word="7")
    found = outcomes(plan, Intervention.model_construct(sweep=points, url="/a/x"))
    assert [each.outcome for each in found] == [
        "intended",
        "intended",
        "produced",
        "other",
        "broken",
        "broken",
    ]
    assert {(each.prob, each.random_prob) for each in found} == {(0.1, 0.2)}
    assert found[0].random_hits == [True, True, False]
