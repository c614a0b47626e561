"""What is killed, missing or refused on a cluster: nothing finished is lost, and it is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.errors import BadInput
from tests.analyses.asking import analyses_of
from tests.cluster.comparing import BODY, LONG, assert_same, found
from tests.cluster.conftest import explored
from tests.cluster.nodes import living, lose
from tests.conformance.made import Made

pytest.importorskip("ray")
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("plain_environment")]


@pytest.mark.parametrize("what", ["replica", "controller", "node"])
async def test_an_analysis_goes_on_when_something_is_killed_under_it(
    what: str, cluster: Any, made: Made, tmp_path: Path
) -> None:
    async with explored(made, tmp_path / "here") as (app, client):
        expected = await found(client, app, LONG)
    async with explored(made, tmp_path / "there", cluster, batch_window=8) as (app, client):
        assert app.state.models.state == "ready", app.state.models.message
        asked = (await client.post("/api/analyses", json=LONG)).json()
        killed = False
        async for event in analyses_of(app).events(asked["id"]):
            if event.kind == "reading" and not killed:
                killed = True
                await asyncio.to_thread(lose, cluster, what)
        there = (await client.get(f"/api/analyses/{asked['id']}")).json()
    assert killed and there["status"] == "done"
    assert_same(there["readings"], expected["readings"])


async def test_a_replica_more_leaves_those_that_are_there(cluster: Any, made: Made, tmp_path: Path) -> None:
    async with explored(made, tmp_path, cluster):
        before = set(living(".av."))
        async with explored(made, tmp_path / "two", cluster, ray_replicas="av=3") as (app, client):
            assert app.state.models.state == "ready", app.state.models.message
            assert len(living(".av.")) == 3 and before < set(living(".av."))
            assert (await found(client, app, BODY))["status"] == "done"


async def test_what_a_model_refuses_is_refused_with_its_own_error(
    cluster: Any, made: Made, tmp_path: Path
) -> None:
    async with explored(made, tmp_path, cluster) as (app, _):
        with app.state.models.borrow() as pair, pytest.raises(BadInput, match="no tuned lens") as caught:
            await pair.target.tuned_lens([1, 2])
    assert caught.value.field == "lens"


async def test_without_replicas_the_server_is_not_ready(cluster: Any, made: Made, tmp_path: Path) -> None:
    from ray import serve

    async with explored(made, tmp_path, cluster) as (_, client):
        assert (await client.get("/readyz")).status_code == 200
        for name in list(serve.status().applications):
            if name.startswith("nla.tiny.ar."):
                serve.delete(name)
        answer = await client.get("/readyz")
        while answer.status_code == 200:
            await asyncio.sleep(0.1)
            answer = await client.get("/readyz")
        assert "No replica of the AR is running" in answer.text


async def test_a_pair_that_cannot_be_loaded_says_why(cluster: Any, made: Made, tmp_path: Path) -> None:
    async with explored(made, tmp_path, cluster, precision="av=8bit") as (app, _):
        assert app.state.models.state == "failed"
        assert "bitsandbytes" in app.state.models.message
