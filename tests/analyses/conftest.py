"""Everything that is promised of analyses is promised on either database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.databases import BOTH, new_postgresql


@pytest.fixture(params=BOTH)
def settings(request: pytest.FixtureRequest, tmp_path: Path, plain_environment: None) -> Iterator[Settings]:
    """A server of its own on a new database."""
    plain = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", pair="fake")
    if request.param == "sqlite":
        yield plain
    else:
        with new_postgresql() as url:
            yield plain.model_copy(update={"database_url": url})


@pytest.fixture
async def id(app: FastAPI) -> str:
    """A finished analysis, with a reply."""
    return (await finish(analyses_of(app), chat(generate={"max_new_tokens": 5}))).id
