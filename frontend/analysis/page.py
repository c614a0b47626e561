"""The page of one analysis, at any stage."""

from __future__ import annotations

from frontend import formatting
from frontend.analysis.contexts import AnalysisContext, ExportLink, RowOfAll, StatusContext
from frontend.analysis.panel import pinned_panel
from frontend.analysis.ribbon import ribbon_context
from frontend.analysis.text_contexts import LegendContext, TurnContext
from frontend.analysis.token_names import token_name
from frontend.analysis.tokens import rows
from frontend.analysis.view import View
from frontend.causal.section import causal_section, causal_stream, colours
from frontend.lens.lens_map import lens_map
from frontend.urls import urls
from server.analyses.ribbon import is_template
from server.analyses.schema import Analysis, Reading


def table(view: View) -> list[RowOfAll]:
    """Every reading there is, in reading order."""
    return [_line(view, r) for position in sorted(view.by_position) for r in view.by_position[position]]


def _line(view: View, reading: Reading) -> RowOfAll:
    """One line of the table of all readings."""
    known = reading.position < len(view.analysis.tokens)
    colour = formatting.score_bin(reading.fve, reading.cos)
    score = formatting.percent(reading.fve) if reading.fve is not None else formatting.number(reading.cos)
    return RowOfAll(
        position=reading.position,
        sample=reading.sample,
        token=token_name(view, reading.position) if known else "",
        href=urls.analysis(view.analysis.id, view.view_state.replace(t=reading.position)),
        text=(reading.error and f"failed: {reading.error}") or formatting.plain(reading.text),
        swatch="" if colour is None else f"s{colour}",
        score="failed" if reading.error else score,
        template=known and is_template(view.analysis.tokens[reading.position]),
    )


def status(view: View) -> StatusContext:
    """Progress of the analysis."""
    a, progress = view.analysis, view.analysis.progress
    return StatusContext(
        state=a.status,
        stage=_stage(a),
        done=progress.done,
        total=progress.total,
        fraction=progress.fraction,
        left=formatting.duration(progress.seconds_left),
        reason=formatting.plain(a.error or ""),
        cancel=urls.cancel(a.id),
        resume=urls.resume(a.id),
    )


def facts(view: View) -> list[str]:
    """Under the title: which pair, which layer, how it was asked."""
    a = view.analysis
    facts = [a.pair] + ([f"layer {a.layer}"] if a.layer is not None else [])
    voice, reply = a.request.verbalise, a.request.generate
    if reply is not None:
        facts.append(f"reply up to {reply.max_new_tokens} tokens" + _heat(reply.temperature))
    if voice.samples > 1:
        facts.append(f"{voice.samples} readings a token" + _heat(voice.temperature or 0))
    return [*facts, f"{a.created:%d %b %Y}".lstrip("0")]


def notes(view: View) -> list[str]:
    """Errors of the address."""
    t, last = view.view_state.t, len(view.analysis.tokens) - 1
    beyond = t is not None and 0 <= last < t
    place = [f"There is no position {t}: the text ends at {last}."] if beyond else []
    return [*(formatting.plain(fault) for fault in view.view_state.faults), *place]


def legend(view: View) -> LegendContext:
    """Legend of the colours; without the pair's variance they show the cosine."""
    if view.by == "causal":
        return LegendContext(
            measure="How much of what the mean activation breaks the words undo",
            low=formatting.percent(0),
            high=formatting.percent(1),
            description="Colours from pale sand for nothing to deep blue for all of it.",
            bins=formatting.BINS,
            waiting=False,
            failed=any(r.error for r in view.analysis.readings),
            edited=bool(view.edited),
            colours=colours(view),
        )
    known = view.analysis.fve_variance is not None or any(r.fve is not None for r in view.analysis.readings)
    return LegendContext(
        measure="How much of the activation's direction the words hold"
        if known
        else "Cosine of the words with the activation",
        low="0" if not known else formatting.percent(0),
        high="1" if not known else formatting.percent(1),
        description="Colours from pale sand for little to deep blue for all of it.",
        bins=formatting.BINS,
        waiting=not view.final,
        failed=any(r.error for r in view.analysis.readings),
        edited=bool(view.edited),
        colours=colours(view),
    )


def analysis_page(view: View) -> AnalysisContext:
    """The whole page."""
    a = view.analysis
    return AnalysisContext(
        title=view.title,
        facts=facts(view),
        notes=notes(view),
        status=status(view),
        rows=rows(view),
        turns=_turns(a),
        legend=legend(view),
        ribbon=ribbon_context(view),
        panel=pinned_panel(view),
        map=lens_map(view),
        causal=causal_section(view),
        waiting="The text stands here as it was typed; its tokens come with the model's answer.",
        all=table(view),
        readings=urls.readings(a.id),
        range=urls.range(a.id),
        again=urls.composer(a.id),
        compare=urls.compare(a.id),
        exports=_exports(a),
        delete=urls.delete(a.id),
        stream=None if view.final else urls.stream(a.id, view.view_state),
        causal_stream=causal_stream(view),
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
        return formatting.plain(progress.message)
    if progress.ahead:
        return (
            f"Waiting: {progress.ahead} before this one"
            if progress.ahead > 1
            else "Waiting: one before this one"
        )
    return formatting.stage(progress.stage)


def _took(a: Analysis) -> str:
    read = len({r.position for r in a.readings if not r.error})
    failed = len({r.position for r in a.readings if r.error})
    words = f"{read} {'position' if read == 1 else 'positions'} read"
    return words + (f", {failed} failed" if failed else "")


def _turns(a: Analysis) -> list[TurnContext]:
    if a.request.text is not None:
        return [TurnContext("text", formatting.plain(a.request.text))]
    return [TurnContext(m.role, formatting.plain(m.content)) for m in a.request.messages or []]


def _heat(temperature: float) -> str:
    return f" at temperature {temperature:g}" if temperature else ""
