"""Studies of any prompts: which positions are read, and what is measured of each reading."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import regex

from server.analyses.schema import Analysis, Token
from server.errors import BadInput
from server.studies import prompts_figures
from server.studies.declaration import CaseSpec, Findings, PlannedEdit, reading_result
from server.studies.digits import reply_text
from server.studies.patterns import TooSlow, compiled, finds, spans
from server.studies.requests import PromptsRequest, Rule
from server.studies.schema import Case, Figures, ReadingResult
from server.studies.table import prompts
from server.studies.template import Content, asking, fill

LABEL = 80
"""Letters of a prompt that name its case."""


class Prompts:
    """A study of prompts, declared. Raises BadInput for a regular expression that is none."""

    def __init__(self, request: PromptsRequest, most: int) -> None:
        self.request = request
        self.causal = "causal" in request.measures.values()
        self.reads_all = request.positions == "all"
        self._most = most
        self._places = _pattern(request.positions, "positions.regex")
        self._patterns = {
            name: pattern
            for name, measure in request.measures.items()
            if (pattern := _pattern(measure, f"measures.{name}.regex")) is not None
        }

    def specs(self) -> list[CaseSpec]:
        """One case a prompt; one that is empty has its error. Raises BadInput for a table that does not fit."""
        return [
            self._spec(n, row, content) for n, (row, content) in enumerate(prompts(self.request, self._most))
        ]

    def _spec(self, number: int, row: Mapping[str, str], content: Content) -> CaseSpec:
        text = content if isinstance(content, str) else content[-1].content
        label = " ".join(text.split())
        label = label if len(label) <= LABEL else label[: LABEL - 1] + "…"
        error, asked = None, None
        try:
            asked = asking(content, self.request, self.request.generate)
        except BadInput as reason:
            error = reason.detail
        return CaseSpec(number, label, asked, row=row, error=error)

    def identity(self) -> object:
        """The rules and the measures."""
        return ["prompts", self.request.model_dump(mode="json", include={"positions", "measures"})]

    def positions(self, spec: CaseSpec, tokens: Sequence[Token]) -> list[int]:
        """The positions that the rule finds. Raises BadInput for an expression that takes too long."""
        rule = self.request.positions
        content = [token for token in tokens if not token.special]
        digits = [t.position for t in content if any(letter in "0123456789" for letter in t.text)]
        if rule == "digits":
            return digits
        if rule == "before_digits":
            return sorted({position - 1 for position in digits if position > 0})
        if rule == "last":
            return [max(token.position for token in tokens if token.kind == "prompt")]
        if isinstance(rule, Rule):
            if self._places is not None:
                return _within(self._places, content)
            wanted = fill(rule.token or "", spec.row).strip()
            return [token.position for token in content if token.text.strip() == wanted]
        return [token.position for token in tokens]

    def edits(self, spec: CaseSpec, analysis: Analysis) -> list[PlannedEdit]:
        """None."""
        return []

    def case(self, spec: CaseSpec, found: Findings) -> Case:
        """The readings with their measures. Raises BadInput for an expression that takes too long."""
        analysis = found.analysis
        return Case(
            number=spec.number,
            label=spec.label,
            analysis=analysis.id,
            url=analysis.url,
            reply=reply_text(analysis.tokens),
            row=dict(spec.row),
            readings=[
                self._measured(spec, analysis, reading_result(analysis, reading, found.causal))
                for reading in analysis.readings
            ],
        )

    def _measured(self, spec: CaseSpec, analysis: Analysis, reading: ReadingResult) -> ReadingResult:
        if reading.error is not None:
            return reading
        values = {name: self._value(name, spec, analysis, reading) for name in self.request.measures}
        return reading.model_copy(update={"measures": values})

    def _value(self, name: str, spec: CaseSpec, analysis: Analysis, reading: ReadingResult) -> float | None:
        measure = self.request.measures[name]
        if isinstance(measure, Rule):
            if name not in self._patterns:
                return _holds(reading.text, fill(measure.token or "", spec.row))
            try:
                return float(finds(self._patterns[name], reading.text))
            except TooSlow as error:
                raise BadInput(f"measures.{name}.regex", str(error)) from error
        if measure == "names_token":
            return _holds(reading.text, reading.token)
        if measure == "names_next":
            return _holds(reading.text, _next_token(analysis, reading.position))
        if measure == "lens":
            return _first_layer(analysis, reading.position)
        value: float | None = getattr(reading, measure)
        return value

    def figures(self, cases: Sequence[Case]) -> Figures:
        """See prompts_figures.py."""
        return prompts_figures.figures(cases, self.request)


def _pattern(rule: object, field: str) -> regex.Pattern[str] | None:
    return compiled(rule.regex, field) if isinstance(rule, Rule) and rule.regex is not None else None


def _within(pattern: regex.Pattern[str], tokens: Sequence[Token]) -> list[int]:
    """The positions of the tokens that hold a part of what the pattern finds."""
    ends = list(itertools.accumulate(len(token.text) for token in tokens))
    found = set()
    try:
        for start, end in spans(pattern, "".join(token.text for token in tokens)):
            found |= {
                token.position
                for token, last in zip(tokens, ends, strict=True)
                if last > start and last - len(token.text) < end
            }
    except TooSlow as error:
        raise BadInput("positions.regex", str(error)) from error
    return sorted(found)


def _holds(text: str, word: str) -> float | None:
    word = word.strip().casefold()
    return float(word in text.casefold()) if word else None


def _next_token(analysis: Analysis, position: int) -> str:
    """The text of the token that follows: at the end, none."""
    after = position + 1
    return analysis.tokens[after].text if after < len(analysis.tokens) else ""


def _first_layer(analysis: Analysis, position: int) -> float | None:
    if analysis.lens is None or position + 1 >= len(analysis.tokens):
        return None
    ranks = analysis.lens.rank[:, position].tolist()
    return next((float(layer) for layer, r in zip(analysis.lens.layers, ranks, strict=True) if r == 0), None)
