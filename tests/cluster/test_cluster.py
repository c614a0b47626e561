"""The explorer with its models on a cluster: what it finds is what it finds with the models in its own process."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.errors import BadInput
from server.interventions.schema import InterventionRequest
from server.nla.models.loaded_pair import LoadedPair
from server.store.database import connect, migrate
from tests.analyses.asking import analyses_of, watch
from tests.cluster.conftest import explored
from tests.cluster.nodes import living, lose
from tests.conformance.families import FAMILIES, Family
from tests.conformance.made import Made, make
from tests.conformance.test_matrix import analysed, holds
from tests.databases import new_postgresql

pytest.importorskip("ray")
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("plain_environment")]
BODY = {
    "text": "Why do cats purr when they sleep in the sun?",
    "verbalise": {"max_new_tokens": 24, "temperature": 0.0},
    "generate": {"max_new_tokens": 4},
}
LONG = {
    "text": " ".join(["The cat sat on the mat and looked at the moon."] * 8),
    "verbalise": {"max_new_tokens": 64, "temperature": 0.0},
}


def assert_same(one: Any, other: Any) -> None:
    """Compare all there is; numbers may differ as much as float32 products do in batches of other sizes."""
    if dataclasses.is_dataclass(one):
        one, other = vars(one), vars(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for this, that in zip(one, other, strict=True):
            assert_same(this, that)
    elif isinstance(one, float | np.ndarray):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    else:
        assert one == other


async def found(client: Any, app: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The finished analysis."""
    asked = (await client.post("/api/analyses", json=body)).json()
    await watch(analyses_of(app), asked["id"])
    answer: dict[str, Any] = (await client.get(f"/api/analyses/{asked['id']}")).json()
    return answer


async def test_an_analysis_is_the_same_as_with_the_models_here(
    cluster: Any, made: Made, tmp_path: Path
) -> None:
    edit = InterventionRequest(position=3, text="A dog barks.", targets=[" dog"])
    async with explored(made, tmp_path / "here") as (app, client):
        here = await found(client, app, BODY)
        edited, _ = await app.state.interventions.create(here["id"], edit)
    async with explored(made, tmp_path / "there", cluster) as (app, client):
        assert app.state.models.state == "ready", app.state.models.message
        there = await found(client, app, BODY)
        same, _ = await app.state.interventions.create(there["id"], edit)
    assert there["status"] == "done" and len(there["readings"]) == len(there["tokens"])
    assert there["id"] == here["id"]  # the pair's fingerprint is the same
    assert [reading["text"] for reading in there["readings"]] == [
        reading["text"] for reading in here["readings"]
    ]
    assert there["tokens"] == here["tokens"]
    assert_same(there["readings"], here["readings"])
    assert_same(there["lens"], here["lens"])
    assert_same(
        [same.before.model_dump(), same.after.model_dump()],
        [edited.before.model_dump(), edited.after.model_dump()],
    )


async def test_every_call_of_a_target_gives_the_same(cluster: Any, made: Made, tmp_path: Path) -> None:
    async def asked(pair: LoadedPair) -> list[Any]:
        ids = pair.prompter.encode(None, "The cat sat on the mat.")
        trace = await pair.target.trace(ids, [1])
        rows = trace.activations
        tokens: list[int] = []
        reply = await pair.target.generate(
            ids, max_new_tokens=5, temperature=0.0, seed=0, on_token=tokens.append
        )
        assert tokens == reply
        return [
            trace,
            reply,
            await pair.target.token_curves(ids, [5, 6]),
            [part async for part in pair.target.word_lens(ids, [[5], [6, 7]])],
            [part async for part in pair.target.patch_each(ids, [1, 2], rows[[3, 4]], 2)],
            await pair.reconstructor.lengths(["one", "one two"]),
            await pair.reconstructor.reconstruct(["one", "one two"]),
        ]

    async with explored(made, tmp_path / "here") as (app, _):
        with app.state.models.borrow() as pair:
            here = await asked(pair)
    async with explored(made, tmp_path / "there", cluster) as (app, _):
        with app.state.models.borrow() as pair:
            there = await asked(pair)
            assert pair.target.max_tokens == 2048 and not pair.target.has_tuned_lens
    assert_same(there, here)


async def test_a_second_server_finds_the_models_and_takes_part_in_the_work(
    cluster: Any, made: Made, tmp_path: Path
) -> None:
    from ray import serve

    with new_postgresql() as url:
        engine = connect(url)
        migrate(engine)
        engine.dispose()
        async with (
            explored(made, tmp_path / "one", cluster, database_url=url) as (one, asking),
            explored(made, tmp_path / "one", cluster, database_url=url, data_dir=tmp_path / "two") as (
                two,
                _,
            ),
        ):
            before = {name: app.last_deployed_time_s for name, app in serve.status().applications.items()}
            assert len(before) == 3  # one for each model, for both servers
            asked = (await asking.post("/api/analyses", json=BODY)).json()
            there = await watch(analyses_of(two), asked["id"])
            assert there[-1].kind == "done"
            assert await analyses_of(two).get(asked["id"]) == await analyses_of(one).get(asked["id"])


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


@pytest.mark.parametrize("family", FAMILIES[1:], ids=lambda family: family.name)
async def test_the_other_architectures_give_what_the_contract_says(
    family: Family, cluster: Any, tmp_path: Path
) -> None:
    tiny = make(family, tmp_path)
    async with explored(tiny, tmp_path, cluster, ray_replicas="av=1") as (app, client):
        assert app.state.models.state == "ready", app.state.models.message
        holds(tiny, await analysed(app, client, positions=[3, 9]))
