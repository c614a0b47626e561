"""Declaration of a kind of study: its cases, what is read of each, what a case comes to, and the figures over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.analyses.schema import Analysis, AnalysisRequest, Reading, Token, url_of
from server.interventions.schema import Intervention, InterventionRequest
from server.studies.schema import Case, Figures, ReadingResult

SCORE_DIGITS, PROB_DIGITS = 4, 5
"""Decimals of scores, and of probabilities and KLs, in a case."""


@dataclass(frozen=True)
class CaseSpec:
    """One case as it is declared. `request` is its analysis, without positions; None where there can be none, with the
    `error`. `facts` is what else decides what the case comes to.
    """

    number: int
    label: str
    request: AnalysisRequest | None
    factors: tuple[int, int] | None = None
    row: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def facts(self) -> list[object]:
        """Facts that tell it from another case of the same prompt."""
        return [self.label, self.factors, dict(self.row)]


@dataclass(frozen=True)
class PlannedEdit:
    """An edit of a reading. `place`: of the digit before which it stands, or the reading's position. `produced` and
    `intended`: what the model says without it, and is meant to say. `word`: the digit that is put in, or which reading
    it is of.
    """

    place: int
    request: InterventionRequest
    produced: str
    intended: str
    word: str


@dataclass(frozen=True)
class Findings:
    """Findings of a case: the finished analysis, causal scores by position, and edits."""

    analysis: Analysis
    causal: Mapping[int, float | None]
    edits: Sequence[tuple[PlannedEdit, Intervention]]


class Declaration(Protocol):
    """One study, declared."""

    causal: bool
    """Causal scores are wanted."""
    reads_all: bool
    """Every position is read, whatever it is."""

    def specs(self) -> list[CaseSpec]:
        """The cases, in order. Raises BadInput."""

    def identity(self) -> object:
        """Everything that decides what a case comes to, apart from the case itself; it is JSON."""

    def positions(self, spec: CaseSpec, tokens: Sequence[Token]) -> list[int]:
        """The positions to read of a text, its reply among the tokens. Raises BadInput."""

    def edits(self, spec: CaseSpec, analysis: Analysis) -> list[PlannedEdit]:
        """The edits to make of a finished analysis."""

    def case(self, spec: CaseSpec, found: Findings) -> Case:
        """Make a case of its findings. Raises BadInput for what cannot be measured."""

    def figures(self, cases: Sequence[Case]) -> Figures:
        """The figures over these cases."""


def rounded(number: float | None, digits: int = SCORE_DIGITS) -> float | None:
    """A score as it stands in a case. Which readings a model takes together is a matter of chance, and moves the last
    digits of single precision: without them the same study comes out the same twice.
    """
    return None if number is None else round(number, digits)


def reading_result(analysis: Analysis, reading: Reading, causal: Mapping[int, float | None]) -> ReadingResult:
    """A reading as it stands in a case, before anything is looked for in its words."""
    tokens = analysis.tokens
    return ReadingResult(
        position=reading.position,
        token=tokens[reading.position].text if reading.position < len(tokens) else "",
        url=f"{url_of(analysis.id)}?t={reading.position}",
        text=reading.text,
        error=reading.error,
        cos=rounded(reading.cos),
        fve=rounded(reading.fve),
        causal=rounded(causal.get(reading.position)),
    )
