"""MCP on stdin and stdout; logs go to stderr."""

from __future__ import annotations

from server.in_process import in_process
from server.mcp.server import create_server
from server.settings import Settings


async def serve(settings: Settings) -> int:
    """Answer on stdin and stdout until the client closes them. Returns the exit status.

    The models load at the first call of a tool: clients start their servers with every session, and mostly use none.
    """
    async with in_process(settings) as services:
        await create_server(services, services.models.start).run_stdio_async()
    return 0
