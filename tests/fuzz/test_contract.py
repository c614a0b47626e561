"""Whatever is asked of the JSON API is answered as its OpenAPI document says: schemathesis asks.

`bench/contract.py` asks far more, and goes on from what it was answered.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from server.app import create_app
from server.settings import Settings
from tests.conftest import running, served
from tests.fakes import FakeSource
from tests.fuzz import steady

pytestmark = pytest.mark.faults
EXAMPLES = 40
"""Calls of each operation, some as its document allows, some not."""
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
api = schemathesis.openapi.from_dict(create_app(Settings(), FakeSource()).openapi())
OPERATIONS = [found.ok() for found in api.get_all_operations()]


@asynccontextmanager
async def _serving(wanted: Settings) -> AsyncIterator[str]:
    async with running(wanted, FakeSource()) as app, served(app) as address:
        yield address


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, new_database: Path) -> Iterator[str]:
    """A server on a fake pair, in a thread of its own."""
    folder = tmp_path_factory.mktemp("contract")
    wanted = Settings(data_dir=folder, cache_dir=folder / "cache", pair="fake")
    shutil.copyfile(new_database, wanted.database_file)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_serving(wanted)) as address:
        yield address


# Not by schemathesis' own parametrize: its tests have all the same id, of which xdist runs one.
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_answer_is_documented(operation: APIOperation, address: str) -> None:
    fitting, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(steady, max_examples=EXAMPLES)
    @given(case=st.one_of(fitting, wrong))
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(base_url=address, timeout=60)
        assert answer.status_code != 500, answer.text
        case.validate_response(answer, checks=CHECKS)

    ask()
