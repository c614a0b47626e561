"""An app on a fake pair and a real database, and ways to talk to it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import torch
import uvicorn
from fastapi import FastAPI

from server.app import create_app, stop_streams
from server.http_protocol import BoundedProtocol
from server.settings import Settings
from server.store.database import connect, migrate
from tests.databases import new_postgresql
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


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables and nothing in them: to make them takes longer than most tests."""
    path = tmp_path_factory.mktemp("new") / "new.db"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgresql_template() -> Iterator[str]:
    """The same in PostgreSQL: the name of a database to be copied."""
    with new_postgresql() as url:
        engine = connect(url)
        migrate(engine)
        engine.dispose()
        yield str(engine.url.database)


@pytest.fixture
def settings(tmp_path: Path, plain_environment: None, new_database: Path) -> Settings:
    """A server of its own in a new folder."""
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", pair="fake")
    settings.data_dir.mkdir()
    shutil.copyfile(new_database, settings.database_file)
    return settings


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
async def served(app: FastAPI, http: type[BoundedProtocol] = BoundedProtocol) -> AsyncIterator[str]:
    """The app (already started) behind a real socket on loopback; gives its address."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_level="warning",
        http=http,
        ws="none",
        timeout_keep_alive=60,  # httpx keeps its connections for 5 s, as uvicorn does: whose end comes first is chance
    )
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    sockets[0].listen()  # whoever comes before the server has started waits instead of being refused
    task = asyncio.create_task(server.serve(sockets=sockets))
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        stop_streams(app)
        server.should_exit = True
        await task
