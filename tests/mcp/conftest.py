"""An agent on a real server with a fake pair."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from mcp import Client

from tests.conftest import served
from tests.mcp.asking import agent


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """Where the app listens."""
    async with served(app) as address:
        yield address


@pytest.fixture
async def asker(address: str) -> AsyncIterator[Client]:
    """An agent."""
    async with agent(address) as client:
        yield client
