"""Capitals: does a country that is edited in the words carry over to its capital?"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from server.analyses.schema import Analysis, Generate, Token
from server.errors import BadInput
from server.interventions.schema import ContinuationParams, Intervention, InterventionRequest
from server.studies import capitals_figures
from server.studies.countries import CAPITALS
from server.studies.declaration import PROB_DIGITS, CaseSpec, Findings, PlannedEdit, reading_result, rounded
from server.studies.digits import reply_text
from server.studies.requests import CapitalsRequest
from server.studies.schema import Case, Figures, ReadingResult, WordEdit
from server.studies.template import asking, filled

REPLY = 6
"""Tokens of an answer: as long as the longest capital."""
COUNTRY, LAST = "country", "last"


class Capitals:
    """A study of capitals, declared."""

    causal = False
    reads_all = False

    def __init__(self, request: CapitalsRequest, most: int) -> None:
        self.request = request
        self._most = most

    def specs(self) -> list[CaseSpec]:
        """One case a country, in an order that the seed decides; each is edited to be the next. Raises BadInput."""
        known = self.request.capitals or CAPITALS
        chosen = random.Random(self.request.seed).sample(sorted(known), len(known))
        if self.request.countries is not None and self.request.countries > len(chosen):
            raise BadInput("countries", f"There are {len(chosen)} countries: ask for as many at most.")
        chosen = chosen[: self.request.countries]
        if len(chosen) > self._most:
            raise BadInput(
                "countries",
                f"{len(chosen):,} countries are more than the {self._most:,} that a study of this server takes "
                "(NLA_MAX_CASES).",
            )
        return [
            self._spec(n, country, chosen[(n + 1) % len(chosen)], known) for n, country in enumerate(chosen)
        ]

    def _spec(self, number: int, country: str, other: str, known: Mapping[str, str]) -> CaseSpec:
        row = {
            "country": country,
            "capital": known[country],
            "other": other,
            "other_capital": known[other],
        }
        content = filled(self.request.template, {"country": country})
        reply = Generate(max_new_tokens=REPLY, temperature=0.0)
        return CaseSpec(number, country, asking(content, self.request, reply), row=row)

    def identity(self) -> object:
        """The strengths of the edits, and the seed of the random directions."""
        return ["capitals", self.request.edit_alphas, self.request.seed]

    def positions(self, spec: CaseSpec, tokens: Sequence[Token]) -> list[int]:
        """The last token of the country's name where it comes last, and the prompt's last one."""
        return sorted(set(_places(spec, tokens).values()))

    def edits(self, spec: CaseSpec, analysis: Analysis) -> list[PlannedEdit]:
        """Plan edits where the model says the capital and a reading names the country: the same words with the other
        country, in the activation's place, and steering.
        """
        if not said(reply_text(analysis.tokens), spec.row["capital"]):
            return []
        texts = {r.position: r.text for r in analysis.readings if r.cos is not None}
        last = _last(analysis.tokens)
        blank = re.match(r"\s*", analysis.tokens[last + 1].text)
        lead = "" if blank is None else blank[0]
        alphas = sorted(set(self.request.edit_alphas))
        ways: list[dict[str, Any]] = [{"mode": "replace"}]
        if alphas:
            ways.append({"mode": "steer", "delta": "original", "alpha": alphas[0], "sweep": alphas})
        return [
            PlannedEdit(
                position,
                InterventionRequest(
                    position=position,
                    until=last,
                    text=re.sub(_name(spec.row["country"]), spec.row["other"], texts[position], flags=re.I),
                    targets=[lead + spec.row["capital"], lead + spec.row["other_capital"]],
                    generate=ContinuationParams(max_new_tokens=1),
                    seed=random.Random(f"{self.request.seed} {spec.label} {where}").randrange(2**31),
                    **way,
                ),
                produced=spec.row["capital"],
                intended=spec.row["other_capital"],
                word=where,
            )
            for where, position in _places(spec, analysis.tokens).items()
            if names(texts.get(position, ""), spec.row["country"])
            for way in ways
        ]

    def case(self, spec: CaseSpec, found: Findings) -> Case:
        """The case: names in the two readings, and outcomes of their edits."""
        analysis = found.analysis
        reply = reply_text(analysis.tokens)
        places = {position: where for where, position in _places(spec, analysis.tokens).items()}
        return Case(
            number=spec.number,
            label=spec.label,
            analysis=analysis.id,
            url=analysis.url,
            reply=reply,
            exact=said(reply, spec.row["capital"]),
            row=dict(spec.row),
            readings=[
                _measured(spec, places[reading.position], reading_result(analysis, reading, found.causal))
                for reading in analysis.readings
            ],
            edits=[each for plan, made in found.edits for each in outcomes(spec, plan, made)],
        )

    def figures(self, cases: Sequence[Case]) -> Figures:
        """See capitals_figures.py."""
        return capitals_figures.figures(cases, self.request)


def said(reply: str, capital: str) -> bool:
    """Return whether an answer begins with the capital, or with as much of it as fits into the answer."""
    reply, capital = reply.strip().casefold(), capital.casefold()
    return bool(reply) and (reply.startswith(capital) or capital.startswith(reply))


def names(text: str, name: str) -> bool:
    """Return whether a text names it, as words of their own, in any capitals."""
    return re.search(_name(name), text, re.I) is not None


def _name(name: str) -> str:
    return rf"(?<!\w){re.escape(name)}(?!\w)"


def _last(tokens: Sequence[Token]) -> int:
    return max(token.position for token in tokens if token.kind == "prompt")


def _places(spec: CaseSpec, tokens: Sequence[Token]) -> dict[str, int]:
    """The positions that are read: one, where the country ends the prompt. Raises BadInput for a country that is not
    in the prompt as the model has it.
    """
    prompt = [token for token in tokens if token.kind == "prompt" and not token.special]
    text = "".join(token.text for token in prompt)
    end = text.rfind(spec.row["country"]) + len(spec.row["country"])
    length = 0
    for token in prompt:
        length += len(token.text)
        if length >= end >= len(spec.row["country"]):
            last = _last(tokens)
            return {LAST: last} if token.position == last else {COUNTRY: token.position, LAST: last}
    raise BadInput("capitals", f"{spec.row['country']!r} is not found in the tokens of its prompt.")


def _measured(spec: CaseSpec, where: str, reading: ReadingResult) -> ReadingResult:
    if reading.error is not None:
        return reading.model_copy(update={"where": where})
    measures = {
        f"names_{what}": float(names(reading.text, spec.row[what]))
        for what in ("country", "capital", "other", "other_capital")
    }
    return reading.model_copy(update={"where": where, "measures": measures})


def outcomes(spec: CaseSpec, plan: PlannedEdit, made: Intervention) -> list[WordEdit]:
    """Tell what an edit did to the model's first choice; steering, at each strength. Empty for capitals that begin with
    the same token, which cannot be told apart.
    """
    own, other = made.after.targets
    if own.id == other.id:
        return []
    common = {
        "position": plan.request.position,
        "where": plan.word,
        "other": spec.row["other"],
        "intended": plan.intended,
        "url": made.url,
    }

    def edit(alpha: float | None, first: tuple[int, str, float], **more: Any) -> WordEdit:
        outcome = {other.id: "other", own.id: "own"}.get(first[0], "another")
        return WordEdit(alpha=alpha, first=first[1], outcome=outcome, **common, **more)  # type: ignore[arg-type]

    if plan.request.mode == "steer":
        return [
            edit(
                point.alpha,
                point.first,
                prob=round(point.probs[1], PROB_DIGITS),
                random_prob=rounded(point.random_probs[1] if point.random_probs else None, PROB_DIGITS),
                random_hits=[each == other.token for each in point.random_firsts],
                unedited=None,
                kl=round(point.kl, PROB_DIGITS),
            )
            for point in made.sweep
        ]
    controls = {control.kind: control for control in made.controls}
    random_, unedited = controls.get("random"), controls.get("unedited")
    return [
        edit(
            None,
            made.after.top[0],
            prob=round(other.prob, PROB_DIGITS),
            random_prob=rounded(None if random_ is None else random_.probs[1], PROB_DIGITS),
            random_hits=[each == other.token for each in random_.each_first] if random_ else [],
            unedited=unedited.each_first[0] == other.token if unedited and unedited.each_first else None,
            kl=round(made.kl, PROB_DIGITS),
        )
    ]
