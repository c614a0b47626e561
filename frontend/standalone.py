"""Parts of pages that are files of their own: style, icon, and a policy by which they ask nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from frontend.templating import STATIC, STYLES

_FONT = re.compile(r'url\("\.\./(vendor/fonts/[^"]+\.woff2)"\)')


def policy(style: str, script: str = "") -> str:
    """Content security policy of the file: its own style and script, if it has one, and no request at all."""
    own = f"script-src '{_digest(script)}'; " if script else ""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; {own}"
        "font-src data:; img-src data:; base-uri 'none'; form-action 'none'"
    )


@lru_cache
def style() -> str:
    """The page's own style sheet with its fonts in it, and what an exported file needs more."""

    def font(match: re.Match[str]) -> str:
        return f'url("data:font/woff2;base64,{_base64(_bytes(match[1]))}")'

    return _FONT.sub(font, "".join(map(text, STYLES))) + text("export.css") + text("print.css")


def icon() -> str:
    """The icon as an address that holds it."""
    return f"data:image/svg+xml;base64,{_base64(_bytes('icon.svg'))}"


def text(name: str) -> str:
    """The text of static/`name`."""
    return _bytes(name).decode()


def _bytes(name: str) -> bytes:
    return (STATIC / name).read_bytes()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _digest(text: str) -> str:
    return "sha256-" + _base64(hashlib.sha256(text.encode()).digest())
