"""Entries of a notebook, as the page and the file show them."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from frontend import formatting, templating
from frontend.analysis.panel import panel
from frontend.analysis.token_names import token_name
from frontend.analysis.view import View
from frontend.edits import edit_context
from frontend.edits.contexts import EditResult
from frontend.notebooks.contexts import EntryContext, EntryForm, TokenContext, WordFigureContext
from frontend.notebooks.markdown import html_of
from frontend.studies.page import title as study_title
from frontend.studies.words import sentences
from frontend.urls import urls
from frontend.view_state import ViewState
from frontend.words.asked import Asked
from frontend.words.facts import facts
from frontend.words.page import shown_word
from frontend.words.svg import word_drawing
from server.analyses.schema import Analysis
from server.measurements.schema import Measurement, WordMentions
from server.notebooks.contents import Shown

BEFORE, AFTER = 40, 20
"""Tokens of the text that are shown around one."""
TITLE = 60
"""Letters of an analysis's title in the line that says what an entry shows."""


def entry_context(shown: Shown, origin: str = "") -> EntryContext:
    """The entry. With an `origin`, the server's address, links lead there."""
    entry = shown.entry
    context = EntryContext(
        id=entry.id,
        name=formatting.plain(entry.name),
        what=_what(shown),
        href=_href(shown, origin),
        note=html_of(entry.note),
        missing=formatting.plain(shown.missing),
        form=EntryForm(entry.name, entry.note, entry.changed.isoformat()),
    )
    if shown.missing:
        return context
    if shown.study is not None:
        return replace(context, sentences=sentences(shown.study))
    if shown.analysis is None:
        return context
    if shown.edit is not None:
        result = edit_context.result(View(shown.analysis), shown.edit)
        return replace(context, edit=_quiet(result, origin))
    if shown.word is not None and shown.mentions is not None:
        return replace(context, word=_word(shown.analysis, shown.word, shown.mentions, origin))
    if entry.position is not None:
        return replace(context, token=_token(shown.analysis, entry.position))
    return context


def _what(shown: Shown) -> str:
    """A line that says what kind of thing an entry shows, and of which text; empty of a note."""
    if shown.study is not None:
        return f"a study: {study_title(shown.study)}"
    if shown.analysis is None:
        return ""
    view = View(shown.analysis)
    of = f"of \u201c{formatting.quoted(view.title, TITLE)}\u201d"
    if shown.edit is not None:
        position = shown.edit.request.position
        return f"an edit at {token_name(view, position)}, position {position}, {of}"
    if shown.word is not None and shown.word.word is not None:
        return f"{shown_word(_asked(shown.word).shown(shown.word.word).word)} along the text {of}"
    if shown.entry.position is None:
        return ""
    return f"{token_name(view, shown.entry.position)}, position {shown.entry.position}, {of}"


def _href(shown: Shown, origin: str) -> str:
    """The permalink of what an entry shows."""
    entry = shown.entry
    if entry.study is not None:
        return origin + urls.study(entry.study)
    if entry.analysis is None:
        return ""
    if shown.word is not None:
        return origin + urls.word(entry.analysis, **_asked(shown.word).fields())
    position = entry.position if shown.edit is None else shown.edit.request.position
    return origin + urls.analysis(entry.analysis, ViewState(t=position, edit=entry.edit))


def _asked(made: Measurement) -> Asked:
    """The query of a word's page."""
    return Asked(made.request.word or "", made.request.lens)


def _token(analysis: Analysis, position: int) -> TokenContext:
    shown = panel(View(analysis), position)
    texts = [token.text for token in analysis.tokens]
    return TokenContext(
        before=formatting.plain("".join(texts[max(0, position - BEFORE) : position])),
        token=formatting.plain(texts[position]),
        after=formatting.plain("".join(texts[position + 1 : position + 1 + AFTER])),
        where=f"{shown.where} \u00b7 {analysis.pair}",
        readings=shown.readings,
        baselines=shown.baselines,
        curve=shown.layers.drawing,
        about_curve=shown.layers.label,
    )


def _quiet(result: EditResult, origin: str) -> EditResult:
    """The edit without what can only be done on its own page."""
    return replace(
        result,
        json=origin + result.json,
        vector=result.vector and (result.vector[0], origin + result.vector[1]),
        replay=result.replay and replace(result.replay, again=""),
        notebook="",
    )


def _word(analysis: Analysis, made: Measurement, mentions: WordMentions, origin: str) -> WordFigureContext:
    assert made.word is not None, "it has been measured"
    asked = _asked(made)
    word = asked.shown(made.word)
    address = origin + urls.word(analysis.id, **asked.fields())
    drawing = word_drawing(analysis, made.word, word, mentions, asked.metric, address)
    drawn = templating.render("words/word.svg", drawing)
    return WordFigureContext(Markup(drawn), facts(analysis, word, mentions))
