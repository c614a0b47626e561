"""Permalinks, as whole addresses where the server's own is known."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from mcp.server.mcpserver import Context
from starlette.requests import Request

from server.settings import Settings

AnyContext = Context[Any, Any]


class Links:
    """Addresses of pages on the server that was asked; on stdio, on the one that these settings would start."""

    def __init__(self, context: AnyContext, settings: Settings) -> None:
        request = context.request_context.request
        if isinstance(request, Request):
            self._base = str(request.base_url).rstrip("/")
        else:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            self._base = f"http://{host}:{settings.port}"

    def home(self) -> str:
        """The page of new analyses."""
        return f"{self._base}/"

    def page(self, path: str) -> str:
        """The page at a permalink's path."""
        return f"{self._base}{path}"

    def library(self, **query: str) -> str:
        """The list of analyses."""
        given = {name: value for name, value in query.items() if value}
        return f"{self._base}/library" + (f"?{urlencode(given)}" if given else "")

    def analysis(self, id: str, position: int | None = None) -> str:
        """An analysis, with a token pinned."""
        return f"{self._base}/a/{id}" + ("" if position is None else f"?t={position}")

    def compare(self, a: str, b: str, samples: tuple[int, int], at: tuple[int | None, int | None]) -> str:
        """Two analyses beside each other; samples count from 1 in the address."""
        query = {"a": a, "b": b, "sa": samples[0] + 1, "sb": samples[1] + 1, "t": at[0], "u": at[1]}
        return f"{self._base}/compare?" + urlencode({k: v for k, v in query.items() if v is not None})
