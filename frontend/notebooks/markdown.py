"""Notes as HTML: CommonMark and tables, without raw HTML, pictures and links that run scripts."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

BELOW = 2
"""Levels by which a note's headings go down: above them are the notebook's title and the entry's name."""
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@lru_cache(maxsize=512)
def html_of(note: str) -> Markup:
    """Render a note. Addresses of other kinds than http, https, mailto and relative ones stay as they were typed."""
    tokens = _MARKDOWN.parse(note)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + BELOW)}"
        for child in token.children or ():
            _mark_link(child)
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _mark_link(token: Token) -> None:
    if token.type == "link_open":
        token.attrSet("rel", "noopener noreferrer nofollow")
