"""GET /docs: the API described, with a vendored Swagger UI. Nothing is asked of another server."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).resolve().parents[2] / "static" / "vendor" / "swagger"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _page() -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>API · nla-explorer</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" {_asset("href", "swagger-ui.css")}>'
        '</head><body><p style="margin:1rem"><a href="/">nla-explorer</a></p><div id="api"></div>'
        f"<script {_asset('src', 'swagger-ui-bundle.js')}></script>"
        f"<script {_asset('src', 'start.js')}></script></body></html>"
    )


def _asset(attribute: str, name: str) -> str:
    digest = hashlib.sha256((FOLDER / name).read_bytes()).digest()
    address = f"/static/vendor/swagger/{name}?v={digest.hex()[:12]}"
    return f'{attribute}="{address}" integrity="sha256-{base64.b64encode(digest).decode()}"'


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The page."""
    return HTMLResponse(
        _page(), headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    )
