"""An app on a fake pair and a real database, and ways to talk to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import torch
import uvicorn
from fastapi import FastAPI

from server.app import create_app
from server.settings import Settings
from tests.fakes import FakePair, FakeSource


def pytest_configure(config: pytest.Config) -> None:
    """Workers of one run share the cores: each, and what it starts, takes its part of them and no more."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("NLA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path, plain_environment: None) -> Settings:
    """A server of its own in a new folder."""
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", pair="fake")


@pytest.fixture
def source() -> FakeSource:
    """Where the app's pair comes from."""
    return FakeSource()


@pytest.fixture
def pair(source: FakeSource) -> FakePair:
    """The app's pair."""
    return source.pair


@asynccontextmanager
async def running(settings: Settings, source: FakeSource, *, ready: bool = True) -> AsyncIterator[FastAPI]:
    """An app between its start and its end; unless told otherwise, with its models loaded."""
    app = create_app(settings, source)
    async with app.router.lifespan_context(app):
        if ready:
            await app.state.models.settled()
        yield app


@pytest.fixture
async def app(settings: Settings, source: FakeSource, anyio_backend: str) -> AsyncIterator[FastAPI]:
    """The app, its models loaded."""
    async with running(settings, source) as app:
        yield app


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    """A client that calls the app without a network. It gets an answer only when that is complete: no live
    streams.
    """
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app."""
    async with client_of(app) as client:
        yield client


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app (already started) behind a real socket on loopback; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    sockets[0].listen()  # whoever comes before the server has started waits instead of being refused
    task = asyncio.create_task(server.serve(sockets=sockets))
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        app.state.analyses.stop_streams()
        server.should_exit = True
        await task
