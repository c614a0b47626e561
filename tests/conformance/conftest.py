"""The whole explorer on a tiny pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from server.app import create_app
from server.settings import Settings
from tests.conformance.families import FAMILIES, Family
from tests.conformance.made import Made, make
from tests.conftest import client_of


@pytest.fixture(scope="session", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """Each architecture in turn."""
    found: Family = request.param
    return found


@pytest.fixture(scope="session")
def made(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A pair of each architecture, as the newest releases are. Not to be changed."""
    return make(family, tmp_path_factory.mktemp(family.name))


@asynccontextmanager
async def explored(made: Made, work: Path) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The explorer's app on a pair, loaded as the user's own file names it, and a client of it."""
    settings = Settings(
        pair="tiny",
        pairs_file=made.file,
        data_dir=work / "data",
        cache_dir=work / "cache",
        verbaliser="transformers",
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        assert app.state.models.state == "ready", app.state.models.message
        yield app, client
