"""Multiplication: what each case asks, and what the readings of its digits say."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from server.analyses.schema import Analysis, Token
from server.interventions.schema import ContinuationParams, Intervention, InterventionRequest
from server.studies import multiplication_figures
from server.studies.declaration import PROB_DIGITS, CaseSpec, Findings, PlannedEdit, reading_result, rounded
from server.studies.digits import Answer, Digit, answer_of, positions_of, reply_text
from server.studies.drawing import drawn, prompt
from server.studies.parse import hinted_digits, problems, stated_result
from server.studies.requests import MultiplicationRequest
from server.studies.schema import Case, DigitEdit, DigitResult, Figures, ReadingResult

DIGITS = "0123456789"


class Multiplication:
    """A study of multiplication, declared."""

    def __init__(self, request: MultiplicationRequest) -> None:
        self.request = request
        self.causal = request.causal
        self.reads_all = False

    def specs(self) -> list[CaseSpec]:
        """One case a problem. Raises BadInput when the ranges hold too few."""
        worked, chosen = drawn(self.request)
        return [
            CaseSpec(n, f"{a} × {b}", prompt(self.request, worked, (a, b)), factors=(a, b))
            for n, (a, b) in enumerate(chosen)
        ]

    def identity(self) -> object:
        """Causal scores, edits, and the seed that chooses the intended digits."""
        alphas = self.request.edit_alphas
        return ["multiplication", self.request.causal, alphas, self.request.seed if alphas else None]

    def positions(self, spec: CaseSpec, tokens: Sequence[Token]) -> list[int]:
        """The positions of the answer's digits, and the one before each."""
        return positions_of(_answer(spec, tokens))

    def edits(self, spec: CaseSpec, analysis: Analysis) -> list[PlannedEdit]:
        """For each digit that the reading before it hints: the same words with another digit."""
        answer = _answer(spec, analysis.tokens)
        if answer is None or not self.request.edit_alphas:
            return []
        texts = {r.position: r.text for r in analysis.readings if r.cos is not None}
        planned = []
        for digit in answer.digits:
            text = texts.get(digit.position - 1, "")
            if digit.digit in hinted_digits(text) and re.search(_alone(digit.digit), text):
                planned.append(self._edit(spec, analysis, answer, digit, text))
        return planned

    def _edit(
        self, spec: CaseSpec, analysis: Analysis, answer: Answer, digit: Digit, text: str
    ) -> PlannedEdit:
        chooser = random.Random(f"{self.request.seed} {spec.label} {digit.place}")
        intended = chooser.choice([other for other in DIGITS if other != digit.digit])
        produced = analysis.tokens[digit.position].text
        nth = sum(other.position == digit.position for other in answer.digits[: digit.place])
        target = _with_digit(produced, nth, intended)
        alphas = sorted(set(self.request.edit_alphas))
        return PlannedEdit(
            digit.place,
            InterventionRequest(
                position=digit.position - 1,
                until=digit.position - 1,
                text=re.sub(_alone(digit.digit), intended, text),
                mode="steer",
                alpha=alphas[0],
                sweep=alphas,
                targets=[target],
                generate=ContinuationParams(max_new_tokens=1),
                seed=chooser.randrange(2**31),  # the random directions of one edit are not those of another
            ),
            produced=produced,
            intended=target,
            word=intended,
        )

    def case(self, spec: CaseSpec, found: Findings) -> Case:
        """The answer digit by digit, with what the two readings of each say."""
        assert spec.factors is not None, "a problem has factors"
        analysis = found.analysis
        answer = _answer(spec, analysis.tokens)
        product = spec.factors[0] * spec.factors[1]
        readings = {r.position: _parsed(reading_result(analysis, r, found.causal)) for r in analysis.readings}
        digits = answer.digits if answer is not None else []
        return Case(
            number=spec.number,
            label=spec.label,
            analysis=analysis.id,
            url=analysis.url,
            answer=answer.text if answer is not None else None,
            reply=reply_text(analysis.tokens),
            factors=spec.factors,
            product=product,
            exact=answer is not None and answer.text == str(product),
            digits=[
                _digit(digit, answer.text, str(product), readings, analysis, found.edits)
                for digit in digits
                if answer is not None
            ],
        )

    def figures(self, cases: Sequence[Case]) -> Figures:
        """See multiplication_figures.py."""
        return multiplication_figures.figures(cases, self.request)


def _answer(spec: CaseSpec, tokens: Sequence[Token]) -> Answer | None:
    assert spec.factors is not None, "a problem has factors"
    return answer_of(tokens, spec.factors)


def _parsed(reading: ReadingResult) -> ReadingResult:
    """The reading with what its words state and hint."""
    stated = stated_result(reading.text)
    named = [problem for problem in problems(reading.text) if problem.factors is not None]
    whole = [problem for problem in reversed(named) if stated is not None and problem.result == stated]
    chosen = next(iter(whole or named), None)
    factors = None if chosen is None else chosen.factors
    true = factors[0] * factors[1] if factors is not None and whole else None
    return reading.model_copy(
        update={"problem": factors, "stated": stated, "true": true, "hinted": hinted_digits(reading.text)}
    )


def _digit(
    digit: Digit,
    answer: str,
    product: str,
    readings: Mapping[int, ReadingResult],
    analysis: Analysis,
    edits: Sequence[tuple[PlannedEdit, Intervention]],
) -> DigitResult:
    before = digit.position - 1
    correct = product[digit.place] if digit.place < len(product) else None
    ranks: list[int] = [] if analysis.lens is None else analysis.lens.rank[:, before].tolist()
    layers = [] if analysis.lens is None else analysis.lens.layers
    return DigitResult(
        place=digit.place,
        digit=digit.digit,
        correct=correct,
        right=digit.digit == correct,
        prefix_right=answer[: digit.place] == product[: digit.place],
        position=digit.position,
        at=readings.get(digit.position),
        before=readings.get(before),
        first_layer=next((layer for layer, rank in zip(layers, ranks, strict=True) if rank == 0), None),
        ranks=ranks,
        edits=[each for plan, made in edits if plan.place == digit.place for each in outcomes(plan, made)],
    )


def outcomes(plan: PlannedEdit, made: Intervention) -> list[DigitEdit]:
    """Outcomes of an edit: what each strength did to the model's first choice."""
    found = []
    for point in made.sweep:
        first = point.first[1]
        texts = {plan.intended.strip(): "intended", plan.produced.strip(): "produced"}
        number = re.fullmatch(r"\s*[0-9]+\s*", first) is not None
        found.append(
            DigitEdit(
                alpha=point.alpha,
                intended=plan.word,
                first=first,
                outcome=texts.get(first.strip(), "other" if number else "broken"),  # type: ignore[arg-type]
                prob=round(point.probs[0], PROB_DIGITS),
                random_prob=rounded(point.random_probs[0] if point.random_probs else None, PROB_DIGITS),
                kl=round(point.kl, PROB_DIGITS),
                random_kl=round(point.random_kl, PROB_DIGITS),
                random_hits=[each.strip() == plan.intended.strip() for each in point.random_firsts],
                url=made.url,
            )
        )
    return found


def _alone(digit: str) -> str:
    return rf"(?<![0-9]){digit}(?![0-9])"


def _with_digit(text: str, nth: int, digit: str) -> str:
    """The text with another nth digit."""
    place = [n for n, letter in enumerate(text) if letter in DIGITS][nth]
    return text[:place] + digit + text[place + 1 :]
