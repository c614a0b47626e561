"""Jinja, static assets with their hashes, and the headers that every page carries."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from frontend.urls import urls

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"
STYLES = [
    f"styles/{name}.css"
    for name in (
        *(
            "base",
            "controls",
            "home",
            "lists",
            "text",
            "ribbon",
            "pinned",
            "edits",
            "layers",
            "lens",
            "causal",
            "studies",
            "compare",
            "vectors",
            "pairs",
            "words",
            "notebooks",
            "keys",
        ),
        *("tables", "narrow"),
    )
]
"""The page's style sheets in the order of the cascade: a later one may say otherwise than an earlier one."""

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache, private",
}


@dataclasses.dataclass(frozen=True)
class Asset:
    """A static file: `url` changes with its content, `integrity` is what the browser checks it against."""

    plain: str
    url: str
    integrity: str


@lru_cache
def asset(name: str) -> Asset:
    """The address of static/`name`. Raises FileNotFoundError for a file that is not there."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).digest()
    plain = f"/static/{name}"
    return Asset(plain, f"{plain}?v={digest.hex()[:12]}", "sha256-" + base64.b64encode(digest).decode())


def environment() -> Environment:
    """Templates that escape everything and refuse a name that nobody gave them."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(urls=urls, asset=asset, styles=STYLES, here="", models=None)
    return env


ENVIRONMENT = environment()


def render(name: str, context: object) -> str:
    """A whole page from its context dataclass (or a mapping)."""
    return ENVIRONMENT.get_template(name).render(_fields(context))


def fragment(name: str, *args: object) -> Markup:
    """Render one macro, `analysis/panel.head` for `head` of analysis/panel.html: the same markup that the
    page includes.
    """
    template, _, macro = name.rpartition(".")
    made = getattr(ENVIRONMENT.get_template(f"{template}.html").module, macro)(*args)
    return Markup(made)


def page(
    name: str, context: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page as a response, under the content security policy."""
    return HTMLResponse(render(name, context), status_code=status, headers={**HEADERS, **(headers or {})})


def _fields(context: object) -> dict[str, Any]:
    if dataclasses.is_dataclass(context) and not isinstance(context, type):
        return {f.name: getattr(context, f.name) for f in dataclasses.fields(context)}
    if isinstance(context, Mapping):
        return dict(context)
    raise TypeError(f"a template context is a dataclass or a mapping, not {type(context).__name__}")
