"""A cluster that is not there. In front of the other tests here: a process joins one cluster in its life."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.conftest import explored
from tests.conformance.made import Made

pytest.importorskip("ray")
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("plain_environment")]


async def test_it_is_a_clear_error(made: Made, tmp_path: Path) -> None:
    async with explored(made, tmp_path, models="ray", ray_address="127.0.0.1:1") as (app, _):
        assert "There is no Ray cluster at 127.0.0.1:1" in app.state.models.message
