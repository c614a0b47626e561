"""The protocol's own client, on a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

ERAS = ("auto", "legacy")
"""How a client begins: by the protocol of 2026, or by the handshake of the versions before."""


@asynccontextmanager
async def agent(
    address: str, mode: str = "auto", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    """A client of the server at this address."""
    web = httpx2.AsyncClient(headers=dict(headers or {}), timeout=60, trust_env=False)
    async with (
        web,
        Client(streamable_http_client(f"{address}/mcp", http_client=web), mode=mode) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answers; its text says the same as its data."""
    result = await client.call_tool(tool, arguments)
    text = "".join(getattr(block, "text", "") for block in result.content)
    assert not result.is_error, text
    assert result.structured_content == json.loads(text)
    return json.loads(text)  # type: ignore[no-any-return]


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Why a tool refuses."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return "".join(getattr(block, "text", "") for block in result.content)
