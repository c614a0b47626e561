"""Tests of readings: what each loses in another form, and what all of them lose."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from server.errors import BadInput
from server.measurements.causal import TOO_LITTLE
from server.measurements.form import Compared, Units, compare, generator, summary
from server.measurements.forms import Form, reordered, without_parts
from server.measurements.inputs import MeasurementInputs, ScoredReading
from server.measurements.rewording import reword
from server.measurements.schema import (
    FormTest,
    FormTestRequest,
    FormTestResult,
    Measurement,
    MeasurementRequest,
    PendingMeasurement,
    ScoredForm,
    TestKind,
    VariantKind,
)

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.scores import Score

MOST_FORMS = 20_000
"""Texts that the AR reads for one test."""
KINDS: dict[TestKind, tuple[VariantKind, ...]] = {
    "leave_out": ("without_sentence", "without_random", "without_quote", "without_word"),
    "shuffle_sentences": ("shuffle_sentences",),
    "shuffle_words": ("shuffle_words",),
    "lowercase": ("lowercase",),
    "paraphrase": ("paraphrase",),
    "translate": ("translate",),
    "given": ("given",),
}
"""The kinds of form that each test scores."""
SHARED = {"positions", "sample", "texts", "language", "seed"}
"""The fields that a test shares with the measurement that it is."""


async def measure(
    pair: LoadedPair, inputs: MeasurementInputs, units: Units
) -> AsyncGenerator[tuple[int, int] | FormTestResult]:
    """Yield (texts that have been written or read, all texts), then the scores. Raises BadInput for positions without a
    reading, or with too many forms in all, and what the models raise.
    """
    test, readings = inputs.request.test, chosen(inputs)
    assert test is not None, "a request for a test has one"
    forms: list[tuple[int, Form]] = []
    for n, reading in enumerate(readings):
        if test == "paraphrase" or test == "translate":
            yield n, len(readings)
            text = await reword(pair, test, reading.text, inputs.request.language)
            forms += [(n, Form(test, text))] if text else []
        else:
            forms += ((n, form) for form in _forms(test, reading, inputs))
        if len(forms) > MOST_FORMS:
            raise BadInput(
                "positions", f"These readings have over {MOST_FORMS:,} parts. Test fewer positions."
            )
    async with aclosing(compare(pair, inputs, readings, forms)) as steps:
        async for step in steps:
            if isinstance(step, Compared):
                yield FormTestResult(forms=list(_scored(step)), summary=summary(step, KINDS[test], units))
            else:
                yield step


def chosen(inputs: MeasurementInputs) -> list[ScoredReading]:
    """The readings that are to be tested, in the order of their positions. Raises BadInput where one is not there."""
    request = inputs.request
    there = {reading.key: reading for reading in inputs.readings}
    positions = sorted(inputs.content if request.positions is None else set(request.positions))
    found = [there[position, request.sample] for position in positions if (position, request.sample) in there]
    if request.positions is not None and len(found) < len(positions):
        missing = next(p for p in positions if (p, request.sample) not in there)
        raise BadInput("positions", f"Position {missing} has no scored reading {request.sample}.")
    if not found:
        raise BadInput("sample", f"No content token has a scored reading {request.sample}.")
    return found


def _forms(test: TestKind, reading: ScoredReading, inputs: MeasurementInputs) -> Iterator[Form]:
    random = generator(inputs, reading)
    if test == "leave_out":
        yield from without_parts(reading.text, random)
    elif test == "given":
        yield from (Form("given", text, n) for n, text in enumerate(inputs.request.texts))
    else:
        for kind in KINDS[test]:
            yield Form(kind, reordered(kind, reading.text, random))


def _scored(compared: Compared) -> Iterator[ScoredForm]:
    """Each reading as it is, then its forms."""
    by_reading: list[list[ScoredForm]] = []
    for n, reading in enumerate(compared.readings):
        kl = float(compared.kl[n])
        by_reading.append([_row(compared, n, "whole", reading.text, compared.scores[n], kl)])
    for n, form, score, kl in compared.forms:
        by_reading[n].append(_row(compared, n, _label(form), form.text, score, kl))
    for rows in by_reading:
        yield from rows


def _row(compared: Compared, n: int, label: str, text: str, score: Score | None, kl: float) -> ScoredForm:
    position, mean = compared.readings[n].key[0], float(compared.mean_kl[n])
    if score is None:
        return ScoredForm(position=position, label=label, text=text)
    causal = 1 - kl / mean if mean >= TOO_LITTLE else None  # NaN is not
    return ScoredForm(
        position=position, label=label, text=text, fve=score.fve, cos=score.cos, causal=causal, kl=kl
    )


def _label(form: Form) -> str:
    """The label of a form; parts are counted from 1."""
    if form.kind == "without_random":
        return f"without random words for sentence {(form.index or 0) + 1}"
    words = form.kind.replace("_", " ")
    return words if form.index is None else f"{words} {form.index + 1}"


def form_test(found: Measurement | PendingMeasurement) -> FormTest:
    """The test, as GET /api/tests/{id} answers it."""
    request, result = found.request, found.test if isinstance(found, Measurement) else None
    assert request.test is not None, "it is a test"
    return FormTest(
        id=found.id,
        url=found.url,
        status=found.status,
        analysis=found.analysis,
        created=found.created,
        request=FormTestRequest(kind=request.test, **request.model_dump(include=SHARED)),
        pair=found.pair,
        progress=found.progress if isinstance(found, PendingMeasurement) else None,
        results=[] if result is None else result.forms,
        summary=None if result is None else result.summary,
    )


def measurement_request(request: FormTestRequest) -> MeasurementRequest:
    """The measurement that a test is."""
    return MeasurementRequest(kind="test", test=request.kind, **request.model_dump(include=SHARED))
