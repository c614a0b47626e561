"""The page of a word, from what was measured and which readings mention it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from frontend import formatting
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.lens.lens_choice import KINDS
from frontend.links import Choice, Field
from frontend.urls import urls
from frontend.view_state import ViewState
from frontend.words.asked import Asked
from frontend.words.contexts import PendingWord, WordCell, WordFigure, WordPage, WordRow
from frontend.words.facts import facts
from frontend.words.shares import METRICS
from server.analyses.schema import Analysis
from server.analyses.word_curves import LONGEST, WhichLens
from server.measurements.schema import (
    Measurement,
    PendingMeasurement,
    TrackedWord,
    WordMentions,
    WordTrack,
)

AROUND = 36
"""Letters of a reading that are shown on each side of a mention."""


def word_page(
    analysis: Analysis,
    asked: Asked,
    found: Measurement | PendingMeasurement | None,
    mentions: WordMentions | None,
    others: Sequence[str],
    error: str = "",
) -> WordPage:
    """The page at any stage: the form alone, a word being measured, or what was found of it."""
    made = found if isinstance(found, Measurement) else None
    word = asked.shown(made.word).word if made is not None and made.word is not None else asked.word
    return WordPage(
        title=View(analysis).title,
        back=urls.analysis(analysis.id),
        name=shown_word(word),
        word=word,
        action=urls.word(analysis.id),
        longest=LONGEST,
        hidden=[Field(name, value) for name, value in asked.replace(word="", variant="").fields().items()],
        error=error,
        pending=_pending(analysis, asked, found) if isinstance(found, PendingMeasurement) else None,
        figure=None if made is None or mentions is None else _figure(analysis, asked, made, mentions),
        others=_others(analysis, asked, others),
    )


def word_cell(analysis: Analysis, track: WordTrack, word: TrackedWord, position: int, row: int) -> WordCell:
    """One layer after one token."""
    output = row == len(track.layers) - 1
    figures = [("probability", formatting.small(word.prob[row][position]))]
    if len(word.parts) > 1:
        figures = [("first token", figures[0][1])]
        if output:
            figures.append(("all tokens", formatting.small(word.whole[position])))
    figures.append(("rank", f"{word.rank[row][position] + 1:,}"))
    return WordCell(
        token=token_name(View(analysis), position),
        name="output" if output else f"layer {track.layers[row]}",
        row=row,
        position=position,
        figures=figures,
    )


def shown_word(word: str) -> str:
    """A word with its leading space drawn."""
    return formatting.quoted(word, LONGEST + 1)


def _pending(analysis: Analysis, asked: Asked, found: PendingMeasurement) -> PendingWord:
    return PendingWord(
        stage=formatting.stage(found.progress.stage),
        done=found.progress.done or 0,
        total=found.progress.total or 0,
        follow=urls.word(analysis.id, **asked.fields()),
        cancel=urls.cancel_word(analysis.id, found.id),
    )


def _figure(analysis: Analysis, asked: Asked, made: Measurement, mentions: WordMentions) -> WordFigure:
    assert made.word is not None
    word, metric = asked.shown(made.word), METRICS[asked.metric]
    fields = asked.fields()

    def to(label: str, current: bool, **changes: str) -> Choice:
        return Choice(urls.word(analysis.id, **asked.replace(**changes).fields()), "", label, current)

    names = {"space": "with a space before it", "plain": "without"}
    variants = sorted((v.variant for v in made.word.variants if v.variant), reverse=True)
    lenses: list[WhichLens] = list(get_args(WhichLens)) if analysis.tuned_lens is not None else []
    return WordFigure(
        source=urls.word_cells(analysis.id, **fields),
        cell=urls.word_cell(analysis.id, **asked.replace(metric="log").fields()),
        svg=urls.word_svg(analysis.id, **fields),
        csv=f"{urls.json(analysis.id)}/measurements/{made.id}/word.csv",
        notebook=urls.put_into_notebook(analysis=analysis.id, measurement=made.id),
        label=f"{metric.title} of {shown_word(word.word)}",
        variants=[
            to(names[name], name == word.variant, variant=name) for name in variants if len(variants) > 1
        ],
        lenses=[to(KINDS[name].label, name == asked.lens, lens=name) for name in lenses],
        metrics=[to(m.label, name == asked.metric, metric=name) for name, m in METRICS.items()],
        title=metric.title,
        about=KINDS[asked.lens].rows,
        low=metric.low,
        high=metric.high,
        bins=formatting.BINS,
        tokens=tokens_note(word),
        facts=facts(analysis, word, mentions),
        rows=_rows(analysis, word, mentions),
    )


def tokens_note(word: TrackedWord) -> str:
    """Say what is measured of a word of several tokens; nothing of a word of one."""
    if len(word.parts) < 2:
        return ""
    parts = "|".join(formatting.quoted(part) for part in word.parts)
    return (
        f"The target cuts it into {len(word.parts)} tokens, {parts}. The layers are asked for the first of them, the "
        "output for all, one after another."
    )


def _rows(analysis: Analysis, word: TrackedWord, mentions: WordMentions) -> list[WordRow]:
    view = View(analysis)
    text = {(r.position, r.sample): r.text for r in analysis.readings}
    first: dict[int, tuple[str, str, str]] = {}
    for mention in mentions.readings:
        reading = text[mention.position, mention.sample]
        first.setdefault(mention.position, _around(reading, *mention.places[0]))
    below = np.asarray(word.prob, np.float64)[:-1]
    written = frozenset(mentions.written)
    rows = []
    for token in analysis.tokens:
        p = token.position
        layer = int(below[:, p].argmax()) if len(below) else None
        rows.append(
            WordRow(
                position=p,
                token=token_name(view, p),
                href=urls.analysis(analysis.id, ViewState(t=p)),
                written=p in written,
                output=formatting.small(word.whole[p]),
                shade=f"s{formatting.score_bin(word.whole[p], None)}",
                layer="" if layer is None else str(layer),
                highest="" if layer is None else formatting.small(float(below[layer, p])),
                mention=first.get(p),
            )
        )
    return rows


def _around(reading: str, start: int, end: int) -> tuple[str, str, str]:
    """A mention with a few letters on each side."""
    before, after = reading[max(0, start - AROUND) : start], reading[end : end + AROUND]
    opening = "\u2026" if start > AROUND else ""
    closing = "\u2026" if end + AROUND < len(reading) else ""
    return (
        opening + formatting.plain(before).replace("\n", " "),
        formatting.plain(reading[start:end]),
        formatting.plain(after).replace("\n", " ") + closing,
    )


def _others(analysis: Analysis, asked: Asked, words: Sequence[str]) -> list[Choice]:
    """Links to the words that have been tracked here."""
    current = asked.request().word if asked.word else None
    return [
        Choice(
            urls.word(analysis.id, **Asked(word, lens=asked.lens, metric=asked.metric).fields()),
            "",
            shown_word(word),
            word == current,
        )
        for word in words
    ]
