"""Tokens as the page names them."""

from __future__ import annotations

from frontend import formatting
from frontend.analysis.view import View


def token_name(view: View, position: int) -> str:
    """A token as the panel names it; a part of a glyph is named after the glyph."""
    tokens, span = view.analysis.tokens, view.glyphs.get(position)
    if span is not None:
        part, parts = position - span[0] + 1, span[1] - span[0] + 1
        return f"{formatting.quoted(tokens[span[0]].text)} (part {part} of {parts})"
    return formatting.quoted(tokens[position].text) or "(empty)"


def next_token_name(view: View, position: int) -> str:
    """The token that the lens at a position follows: the next one, at the end the model's own first choice."""
    if position + 1 < len(view.analysis.tokens):
        return token_name(view, position + 1)
    lens = view.analysis.lens
    return formatting.quoted(lens.top(len(lens.layers) - 1, position)[0][1]) if lens else ""
