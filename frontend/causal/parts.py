"""Parts of one reading on the page: how much its sentences, its words and its form carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from frontend import formatting
from frontend.analysis.view import View
from frontend.causal.contexts import FormRow, MarkedWord, PartsContext, SentenceRow
from frontend.urls import urls
from server.analyses.schema import Reading
from server.measurements.schema import Parts, PendingMeasurement, Variant

LEVELS = 4
"""Shades of the words, beside none."""
FORMS = {
    "shuffle_sentences": "sentences in another order",
    "shuffle_words": "words in another order",
    "lowercase": "in lower case",
    "paraphrase": "paraphrased by the target",
    "translate": "translated by the target",
    "given": "other words",
}


def parts(view: View, reading: Reading, error: str = "") -> PartsContext | None:
    """Build the parts of a reading, or the form that asks for them; None where they cannot be asked for."""
    if view.parts is None or not view.final or reading.cos is None:
        return None
    place = (view.analysis.id, reading.position, reading.sample)
    id, action = f"parts-{reading.position}-{reading.sample}", urls.parts(*place)
    found = view.parts.get((reading.position, reading.sample))
    if found is None:
        return PartsContext(id, "absent", action, error=formatting.plain(error))
    if isinstance(found, PendingMeasurement):
        progress = (
            formatting.plain(found.progress.message or "") or "The reading is read again in other forms"
        )
        return PartsContext(id, "pending", action, again=action, progress=progress)
    assert found.parts is not None, "it is a measurement of parts"
    return _done(found.parts, id, action, error)


def _done(found: Parts, id: str, action: str, error: str) -> PartsContext:
    by_kind: dict[str, list[Variant]] = {}
    for variant in found.variants:
        by_kind.setdefault(variant.kind, []).append(variant)
    (whole,) = by_kind["whole"]
    return PartsContext(
        id,
        "done",
        action,
        error=formatting.plain(error),
        whole=formatting.percent(_held(whole)),
        sentences=tuple(_sentences(found, whole, by_kind)),
        quotes=tuple(_quotes(found, whole, by_kind.get("without_quote", ()))),
        words=tuple(_words(found, whole, by_kind.get("without_word", ()))),
        forms=tuple(
            FormRow(
                name=f"{name}, {n}" if kind == "given" and len(by_kind[kind]) > 1 else name,
                text=formatting.plain(variant.text),
                held=formatting.percent(_held(variant)),
                lost=_points(whole, variant),
                kl=formatting.number(variant.kl),
            )
            for kind, name in FORMS.items()
            for n, variant in enumerate(by_kind.get(kind, ()), 1)
        ),
    )


def _sentences(found: Parts, whole: Variant, by_kind: dict[str, list[Variant]]) -> Iterator[SentenceRow]:
    for variant in by_kind.get("without_sentence", ()):
        assert variant.index is not None
        drawn = [_lost(whole, v) for v in by_kind.get("without_random", ()) if v.index == variant.index]
        at_random = [lost for lost in drawn if lost is not None]
        yield SentenceRow(
            text=formatting.plain(found.sentences[variant.index].strip()),
            held=formatting.percent(_held(variant)),
            lost=_points(whole, variant),
            share=_share(whole, variant),
            at_random=_signed(-sum(at_random) / len(at_random)) if at_random else "",
        )


def _quotes(found: Parts, whole: Variant, variants: Sequence[Variant]) -> Iterator[SentenceRow]:
    for variant in variants:
        assert variant.index is not None
        yield SentenceRow(
            text=formatting.plain(found.quotes[variant.index]),
            held=formatting.percent(_held(variant)),
            lost=_points(whole, variant),
            share=_share(whole, variant),
        )


def _words(found: Parts, whole: Variant, variants: Sequence[Variant]) -> Iterator[MarkedWord]:
    """Words in as many shades as LEVELS: the darkest are those without which the most is lost."""
    losses = {v.index: lost for v in variants if (lost := _lost(whole, v)) is not None}
    most = max(losses.values(), default=0.0)
    for n, word in enumerate(found.words):
        lost = losses.get(n)
        level = 0 if lost is None or most <= 0 or lost <= 0 else min(LEVELS, int(lost / most * LEVELS + 0.5))
        tip = "" if lost is None else f"without it {_signed(-lost)}"
        yield MarkedWord(formatting.plain(word), level, tip)


def _held(variant: Variant) -> float | None:
    return variant.cos if variant.fve is None else variant.fve


def _lost(whole: Variant, variant: Variant) -> float | None:
    before, after = _held(whole), _held(variant)
    return None if before is None or after is None else before - after


def _share(whole: Variant, variant: Variant) -> float:
    """The share of what the whole holds that is lost without a part, 0 to 1."""
    lost, held = _lost(whole, variant), _held(whole)
    return min(max((lost or 0.0) / held, 0.0), 1.0) if held else 0.0


def _points(whole: Variant, variant: Variant) -> str:
    lost = _lost(whole, variant)
    return "no score" if lost is None else _signed(-lost)


def _signed(change: float) -> str:
    return formatting.points(change)
