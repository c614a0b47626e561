"""Everything that is promised of analyses is promised on either database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.databases import BOTH, new_postgresql


@pytest.fixture(params=BOTH)
def settings(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Settings]:
    """A server of its own on a new database."""
    if request.param == "sqlite":
        yield settings
    else:
        with new_postgresql(request.getfixturevalue("postgresql_template")) as url:
            yield settings.model_copy(update={"database_url": url})


@pytest.fixture
async def id(app: FastAPI) -> str:
    """A finished analysis, with a reply."""
    return (await finish(analyses_of(app), chat(generate={"max_new_tokens": 5}))).id
