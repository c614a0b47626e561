"""From an analysis, at any stage, to the contexts that the page and the stream render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from frontend import formatting
from frontend.analysis import shared_words
from frontend.view_state import PLAIN, ViewState
from server.analyses.lens_table import LensTable
from server.analyses.schema import Analysis, LayerReadings, Reading, Token
from server.analyses.word_curves import WhichLens, WordCurve
from server.interventions.schema import Intervention, PendingIntervention
from server.jobs.progress import FINAL
from server.measurements.schema import CausalScore, Measurement, PendingMeasurement
from server.vectors.schema import Vector

Partials = Mapping[tuple[int, int], str]
Words = tuple[Sequence[WordCurve], str]
"""The curves of compared words, and why there are none if there are none."""
NO_WORDS: Words = ((), "")
PanelData = tuple[
    Sequence[WordCurve],
    str,
    Sequence[LayerReadings],
    Sequence[Intervention],
    Sequence[PendingIntervention],
    Sequence[Vector],
    frozenset[int],
]
"""Data of the pinned token from other analyses: `Words`, readings at other layers, its edits, those being made, and the
vectors that can be patched in; and the positions that have edits.
"""
NO_PANEL_DATA: PanelData = (*NO_WORDS, (), (), (), (), frozenset())


@dataclass(frozen=True)
class View:
    """One analysis as one viewer sees it. `look` is what the address asks for; `partials` are the readings being
    written, by (position, sample); `words` are the curves of the words that are compared, or `words_note` why not;
    `other_layers` is what siblings read at the pinned position, `edits` what was edited there, `pending` what is being
    edited, `vectors` what else can be patched in, `edited` the positions that have edits; `causal` are the causal
    scores of the text, or how far they are; `form` how much of them is form; `parts` what carries the readings at the
    pinned position, by position and sample (None where that cannot be asked).
    """

    analysis: Analysis
    view_state: ViewState = PLAIN
    partials: Partials = field(default_factory=dict)
    words: Sequence[WordCurve] = ()
    words_note: str = ""
    other_layers: Sequence[LayerReadings] = ()
    edits: Sequence[Intervention] = ()
    pending: Sequence[PendingIntervention] = ()
    vectors: Sequence[Vector] = ()
    edited: frozenset[int] = frozenset()
    causal: Measurement | PendingMeasurement | None = None
    form: Measurement | PendingMeasurement | None = None
    parts: Mapping[tuple[int, int], Measurement | PendingMeasurement] | None = None

    def replace(self, **changes: Any) -> View:
        """A copy with something changed."""
        return replace(self, **changes)

    @cached_property
    def causal_scores(self) -> dict[tuple[int, int], CausalScore]:
        """The causal scores that have been measured, by position and sample."""
        found = () if self.causal is None else self.causal.scores
        return {(score.position, score.sample): score for score in found}

    @property
    def horizon(self) -> int:
        """The number of following tokens over which causal scores were measured too."""
        return 0 if self.causal is None else self.causal.request.horizon

    @property
    def by(self) -> str:
        """The score that colours the text: the causal one where it is asked for and there."""
        return "causal" if self.view_state.by == "causal" and self.causal_scores else "score"

    @property
    def title(self) -> str:
        """The prompt, or its beginning."""
        return formatting.quoted(" ".join(_prompt(self.analysis).split()), 120)

    @property
    def final(self) -> bool:
        """True if nothing more will come by itself."""
        return self.analysis.status in FINAL

    @property
    def pinned(self) -> int | None:
        """The position in the panel: the one asked for, if it exists, else the analysis's own focus."""
        count = len(self.analysis.tokens)
        if self.view_state.t is not None and 0 <= self.view_state.t < count:
            return self.view_state.t
        if not count:
            return None
        focus = self.analysis.focus
        return focus if focus is not None and 0 <= focus < count else count - 1

    @property
    def pins(self) -> list[int]:
        """The further pinned positions that exist."""
        return [pin for pin in self.view_state.pins if pin < len(self.analysis.tokens)]

    @property
    def edit(self) -> Intervention | None:
        """The edit of the pinned token that is asked for."""
        return next((made for made in self.edits if made.id == self.view_state.edit), None)

    @property
    def which(self) -> WhichLens:
        """The lens that is shown: the tuned one where it is asked for and there."""
        return (
            "tuned" if self.view_state.lens == "tuned" and self.analysis.tuned_lens is not None else "plain"
        )

    @property
    def lens(self) -> LensTable | None:
        """The table of the lens that is shown; None until there is one."""
        return self.analysis.tuned_lens if self.which == "tuned" else self.analysis.lens

    @cached_property
    def by_position(self) -> dict[int, list[Reading]]:
        """The readings of each position, in order of samples."""
        found: dict[int, list[Reading]] = {}
        for reading in sorted(self.analysis.readings, key=lambda r: (r.position, r.sample)):
            found.setdefault(reading.position, []).append(reading)
        return found

    @cached_property
    def usual(self) -> frozenset[str]:
        """Words that stand in most readings of this text."""
        return shared_words.common(tuple(r.text for r in self.analysis.readings if r.text))

    @cached_property
    def glyphs(self) -> dict[int, tuple[int, int]]:
        """For each position of a glyph that spans several tokens, its first and last position."""
        return _glyphs(self.analysis.tokens)

    def asked(self, position: int) -> bool:
        """Return whether a reading of this position was asked for."""
        wanted = self.analysis.request.positions
        if isinstance(wanted, list):
            return position in wanted
        return wanted == "all" or self.analysis.tokens[position].kind == wanted


def _prompt(a: Analysis) -> str:
    request = a.request
    if request.text is not None:
        return request.text
    turns = request.messages or []
    return next((m.content for m in reversed(turns) if m.role == "user"), turns[-1].content if turns else "")


def _glyphs(tokens: Sequence[Token]) -> dict[int, tuple[int, int]]:
    """Position -> (first, last) of the glyph it is a part of, for glyphs that span several tokens."""
    spans = {t.glyph for t in tokens if t.glyph is not None and t.glyph[1] > t.glyph[0]}
    return {p: (first, last) for first, last in spans for p in range(first, last + 1)}
