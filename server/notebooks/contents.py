"""Documents behind the entries of a notebook, as they stand today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from server.analyses.schema import Analysis
from server.analyses.service import Analyses
from server.errors import NlaError, NotFound
from server.interventions.schema import Intervention
from server.interventions.service import Interventions
from server.measurements.schema import Measurement, WordMentions
from server.measurements.service import Measurements
from server.notebooks.schema import Entry, Notebook
from server.studies.schema import Study
from server.studies.service import Studies


@dataclass(frozen=True)
class Shown:
    """An entry with the documents behind it, of an entry of its kind. `missing` says why one is not here."""

    entry: Entry
    analysis: Analysis | None = None
    edit: Intervention | None = None
    word: Measurement | None = None
    mentions: WordMentions | None = None
    study: Study | None = None
    missing: str = ""


class Contents:
    """Finds what entries show. An analysis that several of them are of is looked up once."""

    def __init__(
        self, analyses: Analyses, interventions: Interventions, measurements: Measurements, studies: Studies
    ) -> None:
        self._analyses = analyses
        self._interventions = interventions
        self._measurements = measurements
        self._studies = studies

    async def of(self, notebook: Notebook) -> list[Shown]:
        """All entries, in their order."""
        found: dict[str, Analysis] = {}
        return [await self._shown(entry, found) for entry in notebook.entries]

    async def one(self, entry: Entry) -> Shown:
        """One entry."""
        return await self._shown(entry, {})

    async def _shown(self, entry: Entry, found: dict[str, Analysis]) -> Shown:
        shown = Shown(entry)
        try:
            if entry.study is not None:
                return replace(shown, study=await self._studies.get(entry.study))
            if entry.analysis is None:
                return shown
            if entry.analysis not in found:
                found[entry.analysis] = await self._analyses.get(entry.analysis)
            analysis = found[entry.analysis]
            shown = replace(shown, analysis=analysis)
            if entry.edit is not None:
                return await self._edit(shown, analysis, entry.edit)
            if entry.measurement is not None:
                return await self._word(shown, analysis, entry.measurement)
        except NotFound as error:
            return replace(shown, missing=f"{error.detail} It was deleted after it was put here.")
        except NlaError as error:
            return replace(shown, missing=error.detail)
        return shown

    async def _edit(self, shown: Shown, analysis: Analysis, id: str) -> Shown:
        made = await self._interventions.get(analysis.id, id)
        if isinstance(made, Intervention):
            return replace(shown, edit=made)
        return replace(shown, missing="The edit is still being made.")

    async def _word(self, shown: Shown, analysis: Analysis, id: str) -> Shown:
        made = await self._measurements.get(analysis.id, id)
        if not isinstance(made, Measurement) or made.word is None:
            return replace(shown, missing="The word is still being measured.")
        mentions = await self._measurements.mentions(analysis.id, made.request.word or "")
        return replace(shown, word=made, mentions=mentions)


def data_of(notebook: Notebook, contents: list[Shown], origin: str) -> dict[str, Any]:
    """The notebook as JSON with the numbers behind it: of a token its readings, of an edit, a word or a study the whole
    document. `origin` is the server's address, for the permalinks.
    """
    return {
        "notebook": origin + notebook.url,
        "title": notebook.title,
        "created": notebook.created.isoformat(),
        "changed": notebook.changed.isoformat(),
        "entries": [
            shown.entry.model_dump(mode="json", exclude={"url"})
            | {"url": origin + shown.entry.url, "shows": _data(shown)}
            for shown in contents
        ],
    }


def _data(shown: Shown) -> dict[str, Any] | None:
    document = shown.edit or shown.word or shown.study
    if document is not None:
        found: dict[str, Any] = document.model_dump(mode="json")
        return found
    analysis, position = shown.analysis, shown.entry.position
    if analysis is None or position is None:
        return None
    return {
        "analysis": analysis.id,
        "pair": analysis.pair,
        "layer": analysis.layer,
        "fve_variance": analysis.fve_variance,
        "versions": analysis.versions,
        "token": analysis.tokens[position].model_dump(mode="json"),
        "text": "".join(token.text for token in analysis.tokens),
        "readings": [r.model_dump(mode="json") for r in analysis.readings if r.position == position],
        "baselines": None if analysis.baselines is None else analysis.baselines.model_dump(mode="json"),
    }
