"""The explorer with its models on a cluster: what it finds is what it finds with the models in its own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.interventions.schema import InterventionRequest
from server.nla.models.loaded_pair import LoadedPair
from server.store.database import connect, migrate
from tests.analyses.asking import analyses_of, watch
from tests.cluster.comparing import BODY, assert_same, found
from tests.cluster.conftest import explored
from tests.conformance.families import FAMILIES, Family
from tests.conformance.made import Made, make
from tests.conformance.test_matrix import analysed, holds
from tests.databases import new_postgresql

pytest.importorskip("ray")
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("plain_environment")]


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


@pytest.mark.parametrize("family", FAMILIES[1:], ids=lambda family: family.name)
async def test_the_other_architectures_give_what_the_contract_says(
    family: Family, cluster: Any, tmp_path: Path
) -> None:
    tiny = make(family, tmp_path)
    async with explored(tiny, tmp_path, cluster, ray_replicas="av=1") as (app, client):
        assert app.state.models.state == "ready", app.state.models.message
        holds(tiny, await analysed(app, client, positions=[3, 9]))
