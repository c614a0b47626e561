"""One handler for every error: problem JSON (RFC 9457) for programs, a readable page for browsers."""

from __future__ import annotations

import logging
import re
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

from server.errors import FieldError, NlaError, Unauthorised

MEDIA_TYPE = "application/problem+json"
MOST = 20
"""Fields that an answer names; a list of many bad values would make it as long as the request."""
_PLACES = {"body", "query", "path", "header", "cookie"}
_TAG = re.compile(r"<(\w+)>")
"""A member of a union, among the places of an error."""
_log = logging.getLogger(__name__)


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
            {"field": _printable(error.field), "detail": _printable(error.detail)} for error in errors[:MOST]
        ],
    }
    # The answer to a failure nobody foresaw is made outside the guard, which marks all others.
    return JSONResponse(body, status, {"X-Content-Type-Options": "nosniff"} | (headers or {}), MEDIA_TYPE)


def wants_page(scope: Scope) -> bool:
    """True if a browser asks for a page, rather than a program for data or a page's script for a part of it."""
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
    context = {"title": title, "status": status, "detail": _printable(detail)}
    made: Response = scope["app"].state.page("error.html", context, status=status, headers=headers)
    return made


def respond_to(scope: Scope, error: NlaError) -> Response:
    """The answer to one of our own errors."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorised) else {}
    if error.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers["Retry-After"] = "5"
    return respond(scope, error.status, error.title, error.detail, error.errors, headers)


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors as ours: the place as `messages.0.role`, the message without what was sent."""
    found = []
    for error in errors:
        parts = [str(part) for part in error["loc"] if not _TAG.fullmatch(str(part))]
        if parts and parts[0] in _PLACES:
            parts = parts[1:]
        if error["type"] == "json_invalid":
            parts, message = (
                [],
                f"This is not JSON: {error.get('ctx', {}).get('error', 'it ends too early')}.",
            )
        elif error["type"] == "union_tag_invalid":
            parts, message = (
                [*parts, "kind"],
                f"Use one of {', '.join(_TAG.findall(error['ctx']['expected_tags']))}.",
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
        if len(errors) > 3:
            detail += f"; and {len(errors) - 3:,} more"
        return respond(request.scope, 422, "The request cannot be used as it is", detail, errors)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = HTTPStatus(error.status_code).phrase
        detail = error.detail
        if detail in {title, _UNPARSED}:
            detail = _EXPLAINED.get(error.status_code, title)
        return respond(request.scope, error.status_code, title, detail, headers=dict(error.headers or {}))

    async def unforeseen(request: Request, error: Exception) -> Response:
        detail = f"The server failed at this ({type(error).__name__}). Its log tells more."
        return respond(request.scope, 500, NlaError.title, detail)

    app.add_exception_handler(NlaError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


_UNPARSED = "There was an error parsing the body"
"""What FastAPI says of a body that its parser breaks down on."""
_EXPLAINED = {
    400: "The body cannot be parsed: it is nested too deeply, or is not what its content type says.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
