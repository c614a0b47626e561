"""Language switch: which languages the readings name along a transcript, and which is really written there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from server.analyses.schema import Analysis, Message, Token
from server.errors import BadInput
from server.studies import languages_figures
from server.studies.declaration import CaseSpec, Findings, PlannedEdit, reading_result
from server.studies.digits import reply_text
from server.studies.languages_figures import lines
from server.studies.requests import LanguagesRequest, Turn
from server.studies.schema import Case, Figures
from server.studies.template import asking
from server.studies.transcripts import TRANSCRIPTS

ALSO = {
    "Chinese": ["Mandarin", "Cantonese"],
    "Spanish": ["Castilian"],
    "Persian": ["Farsi"],
    "Dutch": ["Flemish"],
    "Portuguese": ["Brazilian"],
}
"""Other names of languages."""
LABEL = 60


class Languages:
    """A study of languages, declared."""

    causal = False
    reads_all = False

    def __init__(self, request: LanguagesRequest, most: int) -> None:
        self.request = request
        self._most = most
        built_in = [
            [
                Turn.model_validate({"role": role, "language": language, "content": content})
                for role, language, content in each
            ]
            for each in TRANSCRIPTS
        ]
        self._transcripts = request.transcripts or built_in
        self.languages = sorted({turn.language for turns in self._transcripts for turn in turns})

    def specs(self) -> list[CaseSpec]:
        """One case a transcript. Raises BadInput for too many."""
        if len(self._transcripts) > self._most:
            raise BadInput(
                "transcripts",
                f"{len(self._transcripts):,} are more than the {self._most:,} that a study of this server takes "
                "(NLA_MAX_CASES).",
            )
        return [self._spec(n, turns) for n, turns in enumerate(self._transcripts)]

    def _spec(self, number: int, turns: Sequence[Turn]) -> CaseSpec:
        messages = [Message(role=turn.role, content=turn.content) for turn in turns]
        order = [language for language, _ in itertools.groupby(turn.language for turn in turns)]
        return CaseSpec(
            number,
            " → ".join(order),
            asking(messages, self.request, None),
            row={"languages": ", ".join(t.language for t in turns)},
        )

    def identity(self) -> object:
        """The positions that are read, the smoothing of the lines, and the languages that are looked for."""
        return ["languages", self.request.every, self.request.width, self.request.seed, self.languages]

    def positions(self, spec: CaseSpec, tokens: Sequence[Token]) -> list[int]:
        """Every so many tokens of the messages."""
        return list(self._written(spec, tokens))[:: self.request.every]

    def _written(self, spec: CaseSpec, tokens: Sequence[Token]) -> dict[int, str]:
        """The language of each token of a message, by its position. Raises BadInput where the model's chat template
        leaves the messages no longer apart.
        """
        turns = self._transcripts[spec.number]
        prompt = [token for token in tokens if token.kind == "prompt"]
        runs = [
            [token.position for token in run]
            for role, run in itertools.groupby(prompt, lambda t: "" if t.special else t.role)
            if role in ("user", "assistant")
        ]
        if len(runs) != len(turns):
            raise BadInput(
                "transcripts",
                f"Transcript {spec.number + 1} has {len(turns)} messages, but {len(runs)} are told apart in the "
                "model's prompt.",
            )
        return {position: turn.language for turn, run in zip(turns, runs, strict=True) for position in run}

    def edits(self, spec: CaseSpec, analysis: Analysis) -> list[PlannedEdit]:
        """None."""
        return []

    def case(self, spec: CaseSpec, found: Findings) -> Case:
        """The readings with the languages that they name, and the smoothed lines."""
        analysis = found.analysis
        written = self._written(spec, analysis.tokens)
        readings = []
        for each in analysis.readings:
            reading = reading_result(analysis, each, found.causal)
            named = named_languages(reading.text, self.languages)
            measures = {language: float(language in named) for language in self.languages}
            readings.append(
                reading.model_copy(
                    update={
                        "language": written.get(each.position),
                        "measures": {} if reading.error is not None else measures,
                    }
                )
            )
        return Case(
            number=spec.number,
            label=spec.label,
            analysis=analysis.id,
            url=analysis.url,
            reply=reply_text(analysis.tokens),
            row=dict(spec.row),
            readings=readings,
            lines=lines(readings, self.languages, self.request.width, self.request.seed),
        )

    def figures(self, cases: Sequence[Case]) -> Figures:
        """See languages_figures.py."""
        return languages_figures.figures(cases, self.languages, self.request)


def named_languages(text: str, languages: Sequence[str]) -> set[str]:
    """Return the languages that a text names, in any capitals."""
    return {
        language
        for language in languages
        if any(
            re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I)
            for name in (language, *ALSO.get(language, []))
        )
    }
