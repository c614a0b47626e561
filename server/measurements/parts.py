"""Parts of one reading: its scores with each sentence, quotation and word left out, and in other forms.

A reconstruction may owe its score to the meaning of the words or to their form. So the reading is also read with its
sentences and its words shuffled, in lower case, in the target's own rewording, and in words that somebody gave.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, get_args

import numpy as np

from server.measurements.form_scores import FormScores, PlacedText, score_forms
from server.measurements.forms import MOST_WORDS, Form, quotes, reordered, sentences, without_parts, words
from server.measurements.inputs import MeasurementInputs, ScoredReading
from server.measurements.rewording import reword
from server.measurements.schema import FormKind, MeasurementRequest, Parts, RewordingKind, Variant

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair


async def measure(
    pair: LoadedPair, inputs: MeasurementInputs, reading: ScoredReading
) -> AsyncGenerator[tuple[int, int] | Parts]:
    """Yield (forms that have been read, all forms), then the scores. Raises what the models raise."""
    position, sample = reading.key
    forms = list(forms_of(reading.text, inputs.request, len(inputs.ids)))
    if inputs.request.reword:
        kinds: tuple[RewordingKind, ...] = get_args(RewordingKind)
        for kind in kinds:
            text = await reword(pair, kind, reading.text, inputs.request.language)
            forms += [Form(kind, text)] if text else []
    texts = [PlacedText(position, form.text) for form in forms]
    found: FormScores | None = None
    async with aclosing(score_forms(pair, inputs, texts, {reading.text: reading.vector})) as steps:
        async for step in steps:
            if isinstance(step, FormScores):
                found = step
            else:
                yield step
    assert found is not None, "it is the last step"
    variants = []
    for form, score, kl in zip(forms, found.scores, found.kl.tolist(), strict=True):
        known = {} if score is None else {"cos": score.cos, "fve": score.fve, "kl": kl}
        variants.append(Variant(kind=form.kind, index=form.index, text=form.text, **known))
    yield Parts(
        position=position,
        sample=sample,
        sentences=sentences(reading.text),
        quotes=quotes(reading.text),
        words=words(reading.text)[:MOST_WORDS],
        variants=variants,
        mean_kl=found.mean_kl.get(position),
    )


def forms_of(text: str, request: MeasurementRequest, length: int) -> Iterator[Form]:
    """The reading as it is, then its other forms; those that would be empty or equal to it are left out. `length` is
    that of the analysed text, and changes with the seed what is shuffled how.
    """
    random = np.random.default_rng([request.seed % 2**63, length])
    yield Form("whole", text)
    yield from without_parts(text, random)
    kinds: tuple[FormKind, ...] = get_args(FormKind)
    for kind in kinds:
        if (other := reordered(kind, text, random)) != text:
            yield Form(kind, other)
    for n, given in enumerate(request.texts):
        yield Form("given", given, n)
