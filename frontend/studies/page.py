"""The page of one study, at any stage, and the list of studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from frontend import formatting
from frontend.analysis.contexts import ExportLink, StatusContext
from frontend.library.listing import STATES, ago
from frontend.studies import cases, charts, figures, histogram, words
from frontend.studies.cases import Show
from frontend.studies.contexts import FindingsContext, ListedStudy, StudyContext
from frontend.studies.names import units
from frontend.urls import urls
from server.jobs.progress import FINAL
from server.studies.requests import MultiplicationRequest
from server.studies.schema import Study, StudySummary

KINDS = {
    "multiplication": "multiplication",
    "prompts": "prompts",
    "capitals": "capitals",
    "languages": "languages",
}


def listed(found: Sequence[StudySummary], made: Mapping[str, int], now: datetime) -> list[ListedStudy]:
    """One line for each; `made` says how many cases there are of those that are at work."""
    return [
        ListedStudy(
            href=urls.study(s.id),
            title=title(s),
            kind=KINDS[s.kind],
            pair=s.pair,
            status=s.status,
            state=STATES[s.status],
            size=f"{made[s.id]:,} of {_count(s)}" if s.id in made else _count(s),
            created=ago(s.created, now),
            created_iso=s.created.isoformat(),
        )
        for s in found
    ]


def _count(study: StudySummary) -> str:
    return units(study.kind, study.cases)


def study_page(study: Study, show: Show = "all", start: int = 0) -> StudyContext:
    """Everything on the page."""
    return StudyContext(
        title=title(study),
        facts=facts(study),
        status=status(study),
        findings=findings(study),
        cases=cases.cases(study, show, start),
        exports=[
            ExportLink("HTML", "all of this in one file, to read anywhere", urls.study_html(study.id)),
            ExportLink("CSV", "one row a reading", urls.study_export(study.id, "csv")),
            ExportLink("Parquet", "the same, with texts as they are", urls.study_export(study.id, "parquet")),
            ExportLink("JSON", "everything, as the API has it", urls.study_json(study.id)),
        ],
        delete=urls.delete_study(study.id),
        notebook=urls.put_into_notebook(study=study.id),
        stream=None if study.status in FINAL else urls.study_stream(study.id, show, start),
    )


def title(study: Study | StudySummary) -> str:
    """The title, or that it has none."""
    return formatting.plain(" ".join(study.title.split())) or "(no title)"


def facts(study: Study) -> list[str]:
    """Under the title: which pair, which layer, how it was asked."""
    asked = study.request
    found = [study.pair] + ([f"layer {study.layer}"] if study.layer is not None else [])
    if isinstance(asked, MultiplicationRequest):
        (low, high), (first, last) = asked.factors
        found.append(f"factors {low} to {high} and {first} to {last}")
        found += ["a template of its own"] * (asked.template is not None)
        found += ["causal scores"] * asked.causal
        found += [f"edits at α {', '.join(f'{alpha:g}' for alpha in asked.edit_alphas)}"] * bool(
            asked.edit_alphas
        )
    return [*found, f"seed {asked.seed}", f"{study.created:%d %b %Y}".lstrip("0")]


def status(study: Study) -> StatusContext:
    """Say how far it is, why it stopped, and what can be done about it."""
    progress = study.progress
    stages = {
        "done": f"Done: {units(study.kind, len(study.cases))}"
        + (f" in {formatting.duration(study.seconds)}" if formatting.duration(study.seconds) else ""),
        "failed": "This study failed.",
        "cancelled": "This study was cancelled.",
    }
    stage = progress.message or formatting.stage(progress.stage)
    return StatusContext(
        state=study.status,
        stage=formatting.plain(stages.get(study.status, stage)),
        done=progress.done,
        total=progress.total,
        fraction=progress.fraction,
        left=formatting.duration(progress.seconds_left),
        reason=formatting.plain(study.error or ""),
        cancel=urls.cancel_study(study.id),
        resume=urls.resume_study(study.id),
    )


def findings(study: Study) -> FindingsContext:
    """Build what has been found so far."""
    bars = figures.bar_figures(study) if study.cases else []
    return FindingsContext(
        sentences=words.sentences(study),
        notes=[formatting.plain(note) for note in study.notes],
        bars=bars,
        charts=histogram.charts(study) + charts.charts(study),
        table=figures.statistic_table(study) if study.cases else [],
        striking=cases.striking(study),
        random=cases.at_random(study),
        compared=any(group.original for figure in bars for group in figure.groups),
    )
