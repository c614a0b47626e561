"""Two pairs of one target at two layers, from the files to the API: one forward pass, and one pair in memory
at a time.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from server.app import create_app
from server.nla.models import loaded_pair
from server.nla.models.target import TargetModel
from server.settings import Settings
from server.store import repository
from server.store.vectors import unpack
from tests.analyses.asking import analyses_of, watch
from tests.conformance import made as making
from tests.conformance import reference
from tests.conformance.families import Family, K
from tests.conformance.made import make, toml
from tests.conftest import client_of

pytestmark = [pytest.mark.anyio, pytest.mark.conformance, pytest.mark.usefixtures("plain_environment")]

LOW = K - 1


@pytest.fixture
def settings(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A server of `tiny` at layer K, and of `low` one layer below it."""
    tiny = make(family, tmp_path / "tiny")
    monkeypatch.setattr(making, "K", LOW)
    low = make(family, tmp_path / "low")
    tables = [tiny.table, low.table | {"name": "low", "target": tiny.table["target"]}]
    lines = ["[[pair]]\n" + "".join(f"{n} = {toml(v)}\n" for n, v in table.items()) for table in tables]
    (tmp_path / "pairs.toml").write_text("".join(lines))
    return Settings(
        pair="tiny",
        extra_pairs="low",
        pairs_file=tmp_path / "pairs.toml",
        data_dir=tmp_path / "data",
        cache_dir=tmp_path / "cache",
        verbaliser="transformers",
    )


async def test_both_layers_are_read_from_one_pass(
    family: Family,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    run: list[list[int]] = []
    residuals = TargetModel.residuals
    alive: list[weakref.ref[Any]] = []
    left: list[int] = []
    load = loaded_pair._load

    def counted(self: TargetModel, ids: Sequence[int]) -> Any:
        run.append(list(ids))
        return residuals(self, ids)

    def loading(*args: Any) -> Any:
        left.append(sum(model() is not None for model in alive))
        pair = load(*args)
        engine: Any = pair.verbaliser
        alive.extend(
            map(weakref.ref, (pair.target.model.model, pair.reconstructor.model.blocks, engine.model))
        )
        return pair

    request.addfinalizer(gc.unfreeze)
    monkeypatch.setattr(TargetModel, "residuals", counted)
    monkeypatch.setattr(loaded_pair, "_load", loading)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        gc.freeze()  # as the command line does after loading
        body = {"text": "Why do cats purr?", "verbalise": {"max_new_tokens": 5}, "also": ["low"]}
        body["generate"] = {"max_new_tokens": 3}
        asked = (await client.post("/api/analyses", json=body)).json()
        await watch(analyses_of(app), asked["id"])
        found = (await client.get(f"/api/analyses/{asked['id']}")).json()
        (sibling,) = found["siblings"]
        await watch(analyses_of(app), sibling["id"])
        below = (await client.get(f"/api/analyses/{sibling['id']}")).json()
        kept = {
            analysis["layer"]: unpack(
                await app.state.store.read(partial(repository.activations, analysis["id"]))
            )
            for analysis in (found, below)
        }
    assert [(a["pair"], a["status"], a["error"]) for a in (found, below)] == [
        ("tiny", "done", None),
        ("low", "done", None),
    ]
    ids = [token["id"] for token in found["tokens"]]
    assert [token["id"] for token in below["tokens"]] == ids
    assert run.count(ids) == 1
    assert left == [0, 0]  # nothing of the first pair was left when the second was loaded
    states = reference.hidden_states(make(family, tmp_path / "again"), ids)[1]
    for analysis, layer in ((found, K), (below, LOW)):
        plain = states[layer + 1]
        np.testing.assert_allclose(kept[layer], plain, rtol=1e-4, atol=1e-4)
        norms = torch.linalg.norm(plain.double(), dim=1)
        np.testing.assert_allclose([token["norm"] for token in analysis["tokens"]], norms, atol=2e-3)
        assert len(analysis["readings"]) == len(ids)
        assert all(reading["cos"] is not None for reading in analysis["readings"])
