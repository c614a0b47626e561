"""The OpenAPI document: what FastAPI makes of the routes, with the problems that any of them may answer."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from server.api.problems import MEDIA_TYPE, MOST

STATUSES = {
    400: "The body cannot be parsed.",
    401: "A token is needed, and none or a wrong one was sent.",
    403: "The request comes from another site's page, or names another host.",
    404: "There is nothing of this id or at this address.",
    405: "This address does not take that method.",
    408: "The body came too slowly.",
    409: "It does not go together with how things stand.",
    413: "The body is larger than this server reads.",
    422: "The request cannot be used as it is; `errors` says which of its fields.",
    429: "As much as this server takes at a time is being done or waits; see Retry-After.",
    499: "The client left.",
    500: "The server failed at this; its log tells more.",
    501: "A part that was not installed would be needed.",
    503: "The models are not ready, the database cannot be used, or the server is ending; see Retry-After.",
}


class FieldProblem(BaseModel):
    """The error of one field, named with dots: `messages.0.role`; the name is empty where it is of the whole body."""

    field: str
    detail: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(max_length=MOST)


def describe(app: FastAPI) -> None:
    """Have the app's document name every problem under /api."""

    @cache
    def document() -> dict[str, Any]:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = found["components"]["schemas"]
        for model in (FieldProblem, Problem):
            made = model.model_json_schema(ref_template="#/components/schemas/{model}")
            made.pop("$defs", None)
            schemas[model.__name__] = made
        for path, operations in found["paths"].items():
            for operation in operations.values() if path.startswith("/api/") else ():
                operation["responses"] |= _problems()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return found

    app.openapi = document  # type: ignore[method-assign]


def _problems() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {
        str(status): {"description": description, "content": content}
        for status, description in STATUSES.items()
    }
