"""Tools that make and find analyses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field

from server.analyses.schema import (
    Analysis,
    AnalysisRequest,
    AnalysisSummary,
    Generate,
    ListedStatus,
    Message,
    Positions,
    Reading,
    Verbalise,
)
from server.errors import BadInput
from server.jobs.progress import FINAL
from server.mcp.answers import (
    LIMIT,
    LONG_TEXT,
    SHORT_TEXT,
    Answer,
    Page,
    Part,
    cut,
    figure,
    how_many,
    page_of,
)
from server.mcp.links import AnyContext, Links
from server.mcp.waiting import PATIENCE, Seconds, wait
from server.services import Services

MOST_LISTED = 100
TokenRow = Annotated[
    tuple[int, str, str, float | None],
    Field(
        description="Position, text, speaker (`template`: the chat template's), and the share of the activation's "
        "direction that its reading holds (FVE; the cosine where the pair's variance is not known)."
    ),
]
Offset = Annotated[int, Field(ge=0, description="Begin at this entry: the `next` of the page before.")]
AnalysisId = Annotated[str, Field(min_length=1, max_length=40, description="The id of an analysis.")]


class Held(Part):
    """The share of the activations that is held: mean FVE (1 = all, 0 = no better than the mean of the data) and
    cosine.
    """

    fve: float | None = None
    cos: float | None = None


class Scores(Part):
    """Scores of the readings over content (what somebody or the model wrote), beside their nulls over the same text."""

    n: int = Field(description="Scored readings of content.")
    readings: Held
    shuffled: Held = Field(description="Null: the readings dealt to other tokens of this text.")
    mean: Held = Field(description="Null: always answering the mean of the text's other activations.")
    nearest: float | None = Field(
        default=None, description="Share of the readings whose own activation is the nearest of `nearest_of`."
    )
    nearest_of: int | None = None


class AnalysisAnswer(Page):
    """An analysis as it stands; `offset` counts tokens."""

    id: str
    status: str
    pair: str
    layer: int | None = None
    progress: str | None = None
    error: str | None = None
    existed: bool = Field(description="It was there before: nothing was computed.")
    reply: str | None = Field(default=None, description="What the model wrote.")
    read: int = Field(description="Readings so far.")
    scores: Scores | None = None
    tokens: list[TokenRow]


class Line(Part):
    """One analysis of the library."""

    id: str
    permalink: str
    title: str
    pair: str
    status: str
    created: str
    tokens: int
    readings: int


class LibraryAnswer(Answer):
    """Analyses, newest first."""

    total: int = Field(description="Analyses that were found.")
    analyses: list[Line]
    before: str | None = Field(default=None, description="There are more: ask again with this `before`.")


class AnalysisTools:
    """Makes and lists analyses."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def analyse(
        self,
        context: AnyContext,
        messages: Annotated[
            list[Message], Field(description="A chat: turns of system, user and assistant. Or give `text`.")
        ] = [],  # noqa: B006 - the tool's schema shows it
        text: Annotated[
            str, Field(description="Raw text, without a chat template. Or give `messages`.")
        ] = "",
        system: Annotated[str, Field(description="A system prompt in front of `messages`.")] = "",
        generate: Annotated[
            Generate | None, Field(description="Let the model reply first; the reply is read too.")
        ] = None,
        positions: Annotated[
            Positions, Field(description="What to read: all, prompt, generated, or a list of positions.")
        ] = "all",
        verbalise: Annotated[Verbalise, Field(description="Options of the readings.")] = Verbalise(),  # noqa: B008
        pair: Annotated[
            str, Field(description="A pair that `pairs` names; the first one unless given.")
        ] = "",
        wait_seconds: Seconds = PATIENCE,
        offset: Offset = 0,
    ) -> AnalysisAnswer:
        """Analyse a prompt: write a reading of the target's activation at every token, and score each by round trip.

        Answers with the tokens and the scores beside their nulls; read the readings with read_positions or
        find_in_readings. The same prompt with the same settings has the same id and is never computed twice.
        """
        request = _request(messages, text, system, generate, positions, verbalise, pair)
        analyses = self._services.analyses
        analysis, existed = await analyses.create(request)
        if analysis.status not in FINAL:
            await wait(analyses.events(analysis.id), context, wait_seconds)
            analysis = await analyses.get(analysis.id)
        links = Links(context, self._services.settings)
        return await asyncio.to_thread(_answer, analysis, existed, links, offset)

    async def list_analyses(
        self,
        context: AnyContext,
        query: Annotated[
            str,
            Field(
                max_length=500,
                description="Words that prompt, reply, readings or edits of an analysis must all hold.",
            ),
        ] = "",
        pair: Annotated[str, Field(description="Only of this pair.")] = "",
        status: Annotated[ListedStatus | None, Field(description="Only with this status.")] = None,
        studies: Annotated[bool, Field(description="Also those that a study began.")] = False,
        limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 20,
        before: Annotated[str, Field(description="The last id of the page before.")] = "",
    ) -> LibraryAnswer:
        """List finished and running analyses, newest first, or search in their prompts, replies, readings and edits."""
        analyses = self._services.analyses
        chosen = (query or None, pair or None, status)
        found = await analyses.recent(limit + 1, *chosen, before or None, studies=studies)
        total = await analyses.count(*chosen, studies=studies)
        links = Links(context, self._services.settings)
        lines = [_line(summary, links) for summary in found[:limit]]
        lines = lines[: how_many(lines, LIMIT - 5 * SHORT_TEXT)]
        more = lines[-1].id if lines and len(lines) < len(found) else None
        link = links.library(q=query, pair=pair, status=status or "", studies="1" if studies else "")
        return LibraryAnswer(permalink=link, total=total, analyses=lines, before=more)


def speaker_of(role: str, special: bool) -> str:
    """Name the speaker of a token."""
    return "template" if special else role


def by_position(analysis: Analysis) -> dict[int, list[Reading]]:
    """Readings that were written, by position."""
    found: dict[int, list[Reading]] = {}
    for reading in analysis.readings:
        found.setdefault(reading.position, []).append(reading)
    return found


def held_by(readings: Sequence[Reading]) -> float | None:
    """The mean FVE of some readings, or their mean cosine where there is no FVE."""
    fves = [reading.fve for reading in readings if reading.fve is not None]
    values = fves or [reading.cos for reading in readings if reading.cos is not None]
    return figure(fmean(values)) if values else None


def scores_of(analysis: Analysis) -> Scores | None:
    """The scores over content beside their nulls; None as long as nothing is scored."""
    content = {token.position for token in analysis.tokens if token.content}
    scored = [r for r in analysis.readings if r.cos is not None and r.position in content]
    if not scored:
        return None
    fves = [r.fve for r in scored if r.fve is not None]
    held = Held(fve=figure(fmean(fves)) if fves else None, cos=figure(fmean(r.cos or 0.0 for r in scored)))
    null = analysis.baselines
    return Scores(
        n=len(scored),
        readings=held,
        shuffled=Held(fve=figure(null.shuffled_fve), cos=figure(null.shuffled_cos)) if null else Held(),
        mean=Held(fve=figure(null.mean_fve), cos=figure(null.mean_cos)) if null else Held(),
        nearest=figure(null.nearest) if null else None,
        nearest_of=null.nearest_of if null else None,
    )


def _request(
    messages: Sequence[Message],
    text: str,
    system: str,
    generate: Generate | None,
    positions: Any,
    verbalise: Verbalise,
    pair: str,
) -> AnalysisRequest:
    if bool(messages) == bool(text):
        raise BadInput("messages", "Give either messages (a chat) or text (raw), and not both.")
    if system and text:
        raise BadInput("system", "Raw text has no system prompt: give messages, or put it into the text.")
    turns = [Message(role="system", content=system)] if system else []
    return AnalysisRequest(
        messages=[*turns, *messages] if messages else None,
        text=text or None,
        generate=generate,
        positions=positions,
        verbalise=verbalise,
        pair=pair or None,
    )


def _answer(analysis: Analysis, existed: bool, links: Links, offset: int) -> AnalysisAnswer:
    read = by_position(analysis)
    reply = "".join(token.text for token in analysis.tokens if token.kind == "generated")
    rows = [
        (t.position, t.text, speaker_of(t.role, t.special), held_by(read.get(t.position, ())))
        for t in analysis.tokens
    ]
    note = None if analysis.status in FINAL else "It goes on: ask the same again to go on waiting."

    def made(tokens: list[Any]) -> AnalysisAnswer:
        return AnalysisAnswer(
            permalink=links.analysis(analysis.id),
            note=note,
            id=analysis.id,
            status=analysis.status,
            pair=analysis.pair,
            layer=analysis.layer,
            progress=_progress(analysis),
            error=None if analysis.error is None else cut(analysis.error),
            existed=existed,
            reply=cut(reply, LONG_TEXT) or None,
            read=len(analysis.readings),
            scores=scores_of(analysis),
            tokens=tokens,
        )

    return page_of(made, rows, offset, "tokens")


def _progress(analysis: Analysis) -> str | None:
    if analysis.status in FINAL:
        return None
    progress = analysis.progress
    counted = f", {progress.done} of {progress.total} readings are scored" if progress.total else ""
    return f"{progress.stage}{counted}"


def _line(summary: AnalysisSummary, links: Links) -> Line:
    return Line(
        id=summary.id,
        permalink=links.analysis(summary.id),
        title=cut(" ".join(summary.title.split()), SHORT_TEXT),
        pair=summary.pair,
        status=summary.status,
        created=summary.created.isoformat(timespec="seconds"),
        tokens=summary.tokens,
        readings=summary.readings,
    )
