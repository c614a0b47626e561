"""One handler for every error: problem JSON (RFC 9457) for programs, a readable page for browsers."""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from server.analyses.schema import POSITIONS_LIST, POSITIONS_WORD
from server.errors import FieldError, NlaError, Unauthorised

MEDIA_TYPE = "application/problem+json"
_PLACES = {"body", "query", "path", "header", "cookie"}
_log = logging.getLogger(__name__)

_BARE_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<h1>{title}</h1><p>{detail}</p><p><a href="/">Start page</a></p></html>"""


def problem(
    status: int,
    title: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """A problem document."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": _printable(detail),
        "errors": [
            {"field": _printable(error.field), "detail": _printable(error.detail)} for error in errors
        ],
    }
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for a page, rather than a program for data or a page's script for a part of it."""
    path: str = scope["path"]
    headers = Headers(scope=scope)
    if path.startswith("/api/") or headers.get("hx-request") == "true":
        return False
    return "text/html" in headers.get("accept", "")


def respond(
    scope: Scope,
    status: int,
    title: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer to an error, as a page or as problem JSON."""
    if not wants_page(scope):
        return problem(status, title, detail, errors, headers)
    page = scope["app"].state.page
    if page is None:
        text = _BARE_PAGE.format(title=html.escape(title), detail=html.escape(_printable(detail)))
        return Response(text, status, headers, "text/html; charset=utf-8")
    context = {"title": title, "status": status, "detail": _printable(detail)}
    made: Response = page("error.html", context, status=status, headers=headers)
    return made


def respond_to(scope: Scope, error: NlaError) -> Response:
    """The answer to one of our own errors."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorised) else {}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    return respond(scope, error.status, error.title, error.detail, error.errors, headers)


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors as ours: the place as `messages.0.role`, the message without what was sent."""
    found = []
    for error in errors:
        parts = [str(part) for part in error["loc"] if part not in {POSITIONS_LIST, POSITIONS_WORD}]
        if parts and parts[0] in _PLACES:
            parts = parts[1:]
        if error["type"] == "json_invalid":
            parts, message = (
                [],
                f"This is not JSON: {error.get('ctx', {}).get('error', 'it ends too early')}.",
            )
        elif error["type"] == "string_unicode":
            message = "The text holds half of a surrogate pair, which is no character. Send whole characters."
        else:
            message = error["msg"].removeprefix("Value error, ")
        found.append(FieldError(".".join(parts), message))
    return found


def install(app: FastAPI) -> None:
    """Register the handlers."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, NlaError)
        if (
            error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            and error.status != HTTPStatus.SERVICE_UNAVAILABLE
        ):
            _log.error("%s %s: %s", request.method, request.url.path, error.detail)
        return respond_to(request.scope, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = field_errors(error.errors())
        detail = "; ".join(f"{e.field}: {e.detail}" if e.field else e.detail for e in errors[:3])
        return respond(request.scope, 422, "The request cannot be used as it is", detail, errors)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = HTTPStatus(error.status_code).phrase
        detail = error.detail if error.detail != title else _EXPLAINED.get(error.status_code, title)
        return respond(request.scope, error.status_code, title, detail, headers=dict(error.headers or {}))

    async def unforeseen(request: Request, error: Exception) -> Response:
        detail = f"The server failed at this ({type(error).__name__}). Its log tells more."
        return respond(request.scope, 500, NlaError.title, detail)

    app.add_exception_handler(NlaError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


_EXPLAINED = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
