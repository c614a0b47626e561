"""One reading with its scores."""

from __future__ import annotations

from collections.abc import Collection

from frontend import formatting
from frontend.analysis import shared_words
from frontend.analysis.panel_contexts import Figure, ReadingContext
from frontend.analysis.view import View
from frontend.causal.effects import effects
from server.analyses.schema import Reading
from server.nla.fixed_sentences import taken_apart


def reading_context(view: View, r: Reading, marked: Collection[str] = ()) -> ReadingContext:
    """A reading that has ended, with these of its words marked."""
    if r.error is not None:
        return blank_reading(r.sample, "failed", "", error=formatting.plain(r.error))
    a = view.analysis
    scored = r.cos is not None
    note = (
        "" if scored else ("It was not scored." if view.final else "Measuring how much the words hold \u2026")
    )
    return ReadingContext(
        sample=r.sample,
        state="done" if scored else "scoring",
        text=r.text,
        paragraphs=[shared_words.spans(part, marked) for part in paragraphs(r.text)],
        truncated=r.truncated,
        note=note,
        error="",
        headline=_sentence(formatting.headline(r.fve, r.cos)),
        bin=formatting.score_bin(r.fve, r.cos) or 0,
        rank=formatting.rank_sentence(r.rank, r.rank_of, len(a.tokens)),
        figures=_figures(r) if scored else [],
        precision=formatting.precision_sentence(a.versions.get("precision", "")) if scored else "",
        compact=taken_apart(formatting.plain(r.text), a.card.sentences if a.card else ()),
        causal=effects(view, r),
    )


def blank_reading(sample: int, state: str, note: str, error: str = "") -> ReadingContext:
    return ReadingContext(sample, state, "", [], False, note, error, "", 0, "", [])


def with_text(blank: ReadingContext, text: str) -> ReadingContext:
    parts = [[shared_words.Span(part, False)] for part in paragraphs(text)]
    return ReadingContext(blank.sample, blank.state, text, parts, False, blank.note, "", "", 0, "", [])


def paragraphs(text: str) -> list[str]:
    """A reading's paragraphs, without empty ones."""
    return [line for line in (part.strip() for part in formatting.plain(text).split("\n")) if line]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _figures(r: Reading) -> list[Figure]:
    shown = [
        Figure(
            "FVE",
            formatting.number(r.fve),
            "Fraction of variance explained, of the activation's direction: 1 is all of it, 0 no better than always "
            "answering the mean. Both vectors are brought to one length first: the length is not in the words.",
        ),
        Figure(
            "cosine", formatting.number(r.cos), "Between the activation and what the words turn back into"
        ),
        Figure("MSE", formatting.number(r.mse), "Of both vectors at length \u221ad: 2(1 \u2212 cosine)"),
    ]
    return shown if r.fve is not None else shown[1:]
