"""/mcp: the Model Context Protocol, for agents (`server.mcp`)."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from typing import Any

from starlette.types import Receive, Scope, Send

from server.errors import NotInstalled
from server.services import Services

PATH = "/mcp"


class Agents:
    """The endpoint. The package is imported at the first request: that takes seconds, which nobody else need wait for.

    The handler's tasks belong to a task of its own, whichever request began it.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stop = asyncio.Event()
        self._starting: asyncio.Task[Any] | None = None
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises NotInstalled without the package."""
        check_installed()
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="mcp-start")
        manager = await asyncio.shield(self._starting)  # whoever asked first may leave
        await manager.handle_request(scope, receive, send)

    async def _start(self) -> Any:
        module = await asyncio.to_thread(importlib.import_module, "server.mcp.http")
        manager = module.create_manager(self._services)
        ready = asyncio.Event()

        async def run() -> None:
            async with manager.run():
                ready.set()
                await self._stop.wait()

        self._running = asyncio.create_task(run(), name="mcp")
        await ready.wait()
        return manager

    async def close(self) -> None:
        """End what is being answered."""
        self._stop.set()
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._running is not None:
            await self._running


def check_installed() -> None:
    """Raise NotInstalled without the package of the protocol."""
    if importlib.util.find_spec("mcp") is None:
        raise NotInstalled(
            "The server for agents needs the package mcp: install it with `uv sync --extra mcp` (or "
            "`pip install 'nla-explorer[mcp]'`), and start again."
        )
