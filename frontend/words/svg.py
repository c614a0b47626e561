"""A word's map as a drawing that stands by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frontend import formatting
from frontend.analysis.view import View
from frontend.palette import scale
from frontend.words.page import shown_word, tokens_note
from frontend.words.shares import METRICS, shares
from server.analyses.schema import Analysis
from server.measurements.schema import TrackedWord, WordMentions, WordTrack

CELL, ROW = 14, 12
"""The size of a cell."""
LEFT, TOP, GAP = 66, 64, 5
"""Room for the layers' names and the title, and between the output and the layers."""
NAMES = 96
"""Room for the tokens' names."""
NARROWEST = 620


@dataclass(frozen=True)
class Label:
    """A text at a place; `strong` ones are marked."""

    x: float
    y: float
    text: str
    strong: bool = False


@dataclass(frozen=True)
class WordDrawing:
    """words/word.svg: cells of one shade are one path; `marks` are the tokens whose readings mention the word."""

    width: int
    height: int
    title: str
    subtitle: str
    note: str
    address: str
    low: str
    high: str
    scale: Sequence[str]
    ground: Sequence[tuple[int, int, int, int]]
    paths: Sequence[tuple[str, str]]
    layers: Sequence[Label]
    tokens: Sequence[Label]
    marks: Sequence[int]
    marks_y: int


def word_drawing(
    analysis: Analysis,
    track: WordTrack,
    word: TrackedWord,
    mentions: WordMentions,
    metric: str,
    address: str,
) -> WordDrawing:
    """The drawing; `address` is the page that it comes from."""
    colours, kind = scale(), METRICS[metric]
    bins = np.minimum(len(colours) - 1, (shares(word, metric) * len(colours)).astype(int))
    rows, columns = bins.shape
    floor = TOP + rows * ROW + GAP
    written = frozenset(mentions.written)
    return WordDrawing(
        width=max(NARROWEST, LEFT + columns * CELL + 12),
        height=floor + 14 + NAMES + 44,
        title=f"{shown_word(word.word)} along \u201c{formatting.quoted(View(analysis).title, 48)}\u201d",
        subtitle=f"{kind.title}, after each token, by each layer of {analysis.pair} ({_lens(track)})",
        note=tokens_note(word),
        address=address,
        low=kind.low,
        high=kind.high,
        scale=colours,
        ground=[
            (LEFT, TOP, columns * CELL - 1, ROW - 1),
            (LEFT, TOP + ROW + GAP, columns * CELL - 1, (rows - 1) * ROW - 1),
        ],
        paths=[
            (colours[shade], "".join(_runs(bins == shade)))
            for shade in range(1, len(colours))
            if (bins == shade).any()
        ],
        layers=list(_layer_names(analysis, track, rows)),
        tokens=[
            Label(
                LEFT + token.position * CELL + CELL / 2,
                floor + 18,
                formatting.quoted(token.text, 14) or "\u00b7",
                token.position in written,
            )
            for token in analysis.tokens
        ],
        marks=[
            LEFT + position * CELL + CELL // 2
            for position in sorted({mention.position for mention in mentions.readings})
        ],
        marks_y=floor + 2,
    )


def _top(row: int, rows: int) -> int:
    """The top of a row; the first layer is the lowest."""
    return TOP + (rows - 1 - row) * ROW + (GAP if row < rows - 1 else 0)


def _runs(chosen: NDArray[np.bool_]) -> Iterator[str]:
    """Cells beside each other as one rectangle."""
    rows = len(chosen)
    for row, line in enumerate(chosen):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            width = (last - first) * CELL - 1
            yield f"M{LEFT + first * CELL} {_top(row, rows)}h{width}v{ROW - 1}h-{width}z"


def _layer_names(analysis: Analysis, track: WordTrack, rows: int) -> Iterator[Label]:
    every = max(1, round(rows / 12))
    for row, layer in enumerate(track.layers):
        read = layer == analysis.layer
        if row == rows - 1:
            yield Label(LEFT - 6, _top(row, rows) + 9, "output", True)
        elif read or (row % every == 0 and (analysis.layer is None or abs(layer - analysis.layer) >= every)):
            yield Label(LEFT - 6, _top(row, rows) + 9, f"{layer} (read)" if read else str(layer), read)


def _lens(track: WordTrack) -> str:
    return "tuned lens" if track.lens == "tuned" else "logit lens"
