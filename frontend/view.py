"""From an analysis, at any stage, to the contexts that the page and the stream render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from frontend import agreement, rows, wording
from frontend.contexts.analysis import AnalysisContext, ExportLink, RowOfAll, StatusContext
from frontend.contexts.lens import MapContext
from frontend.contexts.links import Choice
from frontend.contexts.panel import PanelContext
from frontend.contexts.text import LegendContext, RowContext, TokenContext, TurnContext
from frontend.lens_map import lens_map
from frontend.look import PLAIN, Look
from frontend.panel import name, next_name
from frontend.panel import panel as panel_context
from frontend.urls import urls
from server.analyses.interventions.schema import Intervention
from server.analyses.lens import LensTable
from server.analyses.schema import FINAL, Analysis, Beside, Reading
from server.analyses.words import WhichLens, WordCurve

Partials = Mapping[tuple[int, int], str]
Words = tuple[Sequence[WordCurve], str]
"""The curves of compared words, and why there are none if there are none."""
NO_WORDS: Words = ((), "")
Around = tuple[Sequence[WordCurve], str, Sequence[Beside], Sequence[Intervention]]
"""What is known of the pinned token from elsewhere: `Words`, what is read at other layers, and its edits."""
ALONE: Around = (*NO_WORDS, (), ())


@dataclass(frozen=True)
class View:
    """One analysis as one viewer sees it. `look` is what the address asks for; `partials` are the readings being
    written, by (position, sample); `words` are the curves of the words that are compared, or `words_note` why not;
    `beside` is what siblings read at the pinned position, `edits` what was edited there.
    """

    analysis: Analysis
    look: Look = PLAIN
    partials: Partials = field(default_factory=dict)
    words: Sequence[WordCurve] = ()
    words_note: str = ""
    beside: Sequence[Beside] = ()
    edits: Sequence[Intervention] = ()

    @property
    def title(self) -> str:
        """The prompt, or its beginning."""
        return wording.quoted(" ".join(_prompt(self.analysis).split()), 120)

    @property
    def final(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.analysis.status in FINAL

    @property
    def pinned(self) -> int | None:
        """The position in the panel: the one asked for, if it exists, else the analysis's own focus."""
        count = len(self.analysis.tokens)
        if self.look.t is not None and 0 <= self.look.t < count:
            return self.look.t
        if not count:
            return None
        focus = self.analysis.focus
        return focus if focus is not None and 0 <= focus < count else count - 1

    @property
    def pins(self) -> list[int]:
        """The further pinned positions that exist."""
        return [pin for pin in self.look.pins if pin < len(self.analysis.tokens)]

    @property
    def edit(self) -> Intervention | None:
        """The edit of the pinned token that is asked for."""
        return next((made for made in self.edits if made.id == self.look.edit), None)

    @property
    def which(self) -> WhichLens:
        """The lens that is shown: the tuned one where it is asked for and there."""
        return "tuned" if self.look.lens == "tuned" and self.analysis.tuned_lens is not None else "plain"

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
        return agreement.common(r.text for r in self.analysis.readings if r.text)

    @cached_property
    def glyphs(self) -> dict[int, tuple[int, int]]:
        """For each position of a glyph that spans several tokens, its first and last position."""
        return rows.glyphs(self.analysis.tokens)

    def asked(self, position: int) -> bool:
        """Whether a reading of this position was asked for."""
        wanted = self.analysis.request.positions
        if isinstance(wanted, list):
            return position in wanted
        return wanted == "all" or self.analysis.tokens[position].kind == wanted

    def token(self, position: int) -> TokenContext:
        """The link of one token."""
        return rows.token(self, position)

    def rows(self) -> list[RowContext]:
        """The whole text, a row for each turn."""
        return rows.rows(self)

    def choice(self, look: Look, label: str, current: bool = False) -> Choice:
        """A link to another look at this analysis."""
        id = self.analysis.id
        return Choice(urls.analysis(id, look), urls.panel(id, look, whole=True), label, current)

    def name(self, position: int) -> str:
        """A token as the page names it."""
        return name(self, position)

    def next_name(self, position: int) -> str:
        """The token that the lens at a position follows."""
        return next_name(self, position)

    def map(self) -> MapContext:
        """The lens of the whole text."""
        return lens_map(self)

    def panel(self) -> PanelContext | None:
        """The pinned token; None until there are tokens."""
        return None if self.pinned is None else panel_context(self, self.pinned)

    def table(self) -> list[RowOfAll]:
        """Every reading there is, in reading order."""
        return [self.line(r) for position in sorted(self.by_position) for r in self.by_position[position]]

    def line(self, reading: Reading) -> RowOfAll:
        """One line of the table of all readings."""
        known = reading.position < len(self.analysis.tokens)
        colour = wording.score_bin(reading.fve, reading.cos)
        score = wording.percent(reading.fve) if reading.fve is not None else wording.number(reading.cos)
        return RowOfAll(
            position=reading.position,
            sample=reading.sample,
            token=name(self, reading.position) if known else "",
            href=urls.analysis(self.analysis.id, self.look.but(t=reading.position)),
            text=(reading.error and f"failed: {reading.error}") or wording.plain(reading.text),
            swatch="" if colour is None else f"s{colour}",
            score="failed" if reading.error else score,
        )

    def status(self) -> StatusContext:
        """How far the work is."""
        a, progress = self.analysis, self.analysis.progress
        return StatusContext(
            state=a.status,
            stage=_stage(a),
            done=progress.done,
            total=progress.total,
            fraction=progress.fraction,
            left=wording.duration(progress.seconds_left),
            reason=wording.plain(a.error or ""),
            cancel=urls.cancel(a.id),
            resume=urls.resume(a.id),
        )

    def facts(self) -> list[str]:
        """Under the title: which pair, which layer, how it was asked."""
        a = self.analysis
        facts = [a.pair] + ([f"layer {a.layer}"] if a.layer is not None else [])
        voice, reply = a.request.verbalise, a.request.generate
        if reply is not None:
            facts.append(f"reply up to {reply.max_new_tokens} tokens" + _heat(reply.temperature))
        if voice.samples > 1:
            facts.append(f"{voice.samples} readings a token" + _heat(voice.temperature or 0))
        return [*facts, f"{a.created:%d %b %Y}".lstrip("0")]

    def notes(self) -> list[str]:
        """What the address asks for and cannot have."""
        t, last = self.look.t, len(self.analysis.tokens) - 1
        beyond = t is not None and 0 <= last < t
        place = [f"There is no position {t}: the text ends at {last}."] if beyond else []
        return [*(wording.plain(fault) for fault in self.look.faults), *place]

    def legend(self) -> LegendContext:
        """What the colours mean; without the pair's variance they show the cosine."""
        known = self.analysis.fve_variance is not None or any(
            r.fve is not None for r in self.analysis.readings
        )
        return LegendContext(
            measure="How much of the activation's direction the words hold"
            if known
            else "Cosine of the words with the activation",
            low="0" if not known else wording.percent(0),
            high="1" if not known else wording.percent(1),
            description="Colours from pale sand for little to deep blue for all of it.",
            bins=wording.BINS,
            waiting=not self.final,
            failed=any(r.error for r in self.analysis.readings),
        )

    def page(self) -> AnalysisContext:
        """The whole page."""
        a = self.analysis
        return AnalysisContext(
            title=self.title,
            facts=self.facts(),
            notes=self.notes(),
            status=self.status(),
            rows=self.rows(),
            turns=_turns(a),
            legend=self.legend(),
            panel=self.panel(),
            map=self.map(),
            waiting="The text stands here as it was typed; its tokens come with the model's answer.",
            all=self.table(),
            again=urls.composer(a.id),
            compare=urls.compare(a.id),
            exports=_exports(a),
            delete=urls.delete(a.id),
            stream=None if self.final else urls.stream(a.id, self.look),
        )


def _exports(a: Analysis) -> list[ExportLink]:
    """Files, each with what it holds; those of other layers where there are any."""
    layers = " and other layers' readings" if a.siblings else ""
    files = [
        ("HTML", f"a page that opens without this server: text, readings, edits{layers}", "html"),
        ("CSV", "the readings with their scores, for a spreadsheet", "csv"),
        ("Parquet", "the same with activations and reconstructions", "parquet"),
        ("JSON", f"everything but the vectors, with the edits{layers}", "json"),
    ]
    links = [ExportLink(name, holds, urls.export(a.id, kind)) for name, holds, kind in files]
    edits, there = urls.edits_export, urls.siblings_export
    links += [
        ExportLink("Edits, CSV", "one a row, with what the model said before and after", edits(a.id, "csv")),
        ExportLink("Edits, Parquet", "the same", edits(a.id, "parquet")),
    ]
    if a.siblings:
        links += [
            ExportLink("Other layers, CSV", "what they read at each token", there(a.id, "csv")),
            ExportLink("Other layers, Parquet", "the same, without vectors", there(a.id, "parquet")),
        ]
    return links


def _stage(a: Analysis) -> str:
    match a.status:
        case "done":
            return _took(a)
        case "failed":
            return "This analysis stopped on an error."
        case "cancelled":
            return "This analysis was cancelled."
    progress = a.progress
    if progress.message:
        return wording.plain(progress.message)
    if progress.ahead:
        return (
            f"Waiting: {progress.ahead} before this one"
            if progress.ahead > 1
            else "Waiting: one before this one"
        )
    return wording.stage(progress.stage)


def _took(a: Analysis) -> str:
    read = len({r.position for r in a.readings if not r.error})
    failed = len({r.position for r in a.readings if r.error})
    words = f"{read} {'position' if read == 1 else 'positions'} read"
    return words + (f", {failed} failed" if failed else "")


def _prompt(a: Analysis) -> str:
    request = a.request
    if request.text is not None:
        return request.text
    turns = request.messages or []
    return next((m.content for m in reversed(turns) if m.role == "user"), turns[-1].content if turns else "")


def _turns(a: Analysis) -> list[TurnContext]:
    if a.request.text is not None:
        return [TurnContext("text", wording.plain(a.request.text))]
    return [TurnContext(m.role, wording.plain(m.content)) for m in a.request.messages or []]


def _heat(temperature: float) -> str:
    return f" at temperature {temperature:g}" if temperature else ""
