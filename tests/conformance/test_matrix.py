"""Every released format goes through the whole explorer, and what comes back is what the contract says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI

from tests.analyses.asking import analyses_of, watch
from tests.conformance import reference
from tests.conformance.conftest import explored
from tests.conformance.families import Family
from tests.conformance.made import Layout, Made, Spelling, V, make
from tests.nla.hub import COMMIT, hub

pytestmark = [pytest.mark.anyio, pytest.mark.conformance, pytest.mark.usefixtures("plain_environment")]

BUDGET = 10
TEXT = "Why do cats purr when they sleep?"


async def analysed(app: FastAPI, client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """A finished analysis, as the API tells it."""
    asked = {
        "messages": [{"role": "user", "content": TEXT}],
        "verbalise": {"max_new_tokens": BUDGET, "temperature": 0.0},
        **more,
    }
    answer = await client.post("/api/analyses", json=asked)
    assert answer.status_code == 202, answer.text
    await watch(analyses_of(app), answer.json()["id"])
    found: dict[str, Any] = (await client.get(f"/api/analyses/{answer.json()['id']}")).json()
    assert found["status"] == "done", found["error"]
    return found


def holds(made: Made, analysis: dict[str, Any]) -> None:
    """Readings and scores are those of the step-by-step calculation."""
    h = reference.activations(made, [token["id"] for token in analysis["tokens"]])
    for told in analysis["readings"]:
        own = h[told["position"]]
        assert told["text"] == reference.reading(made, own, BUDGET)
        r = torch.from_numpy(reference.vector(made, told["text"]))
        cos = float(torch.cosine_similarity(own, r, dim=0))
        assert told["cos"] == pytest.approx(cos, abs=2e-4)
        assert told["fve"] == pytest.approx(1 - 2 * (1 - cos) / V, abs=1e-3)


@pytest.mark.parametrize(
    ("layout", "headed"),
    # An adapter's AR is made of the target, which has no d x d head.
    [("full", False), ("full", True), ("subfolder", False), ("subfolder", True), ("lora", False)],
)
@pytest.mark.parametrize("spelling", ["new", "old"])
async def test_readings_and_scores_come_back(
    family: Family, spelling: Spelling, layout: Layout, headed: bool, tmp_path: Path
) -> None:
    made = make(family, tmp_path, spelling, layout, headed=headed)
    async with explored(made, tmp_path) as (app, client):
        holds(made, await analysed(app, client, positions=[3, 9]))


async def test_every_position_is_read_right(made: Made, tmp_path: Path) -> None:
    async with explored(made, tmp_path) as (app, client):
        analysis = await analysed(app, client, generate={"max_new_tokens": 4, "temperature": 0.0})
        assert len(analysis["readings"]) == len(analysis["tokens"])
        assert len({told["text"] for told in analysis["readings"]}) > len(analysis["tokens"]) // 4
        holds(made, analysis)


async def test_the_avs_input_rows_are_those_of_the_contract(made: Made, tmp_path: Path) -> None:
    async with explored(made, tmp_path) as (app, client):
        av = app.state.models.resident().verbaliser.model
        stack = getattr(av.model, "language_model", av.model)
        seen: list[torch.Tensor] = []
        stack.layers[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        analysis = await analysed(app, client, positions=[5])
        h = reference.activations(made, [token["id"] for token in analysis["tokens"]])[5]
        entered = torch.cat(
            [seen[0][0], seen[1][0]]
        )  # what stands before the marker, the marker and the rest
        torch.testing.assert_close(entered, reference.input_rows(made, h), rtol=1e-4, atol=1e-5)


async def test_the_ars_vectors_are_those_of_the_contract(made: Made, tmp_path: Path) -> None:
    texts = ["Short.", "A longer reading about cats, and why it is that they purr."]
    async with explored(made, tmp_path) as (_, client):
        answer = await client.post("/api/reconstruct", json={"texts": texts})
        found = np.asarray(answer.json()["activations"])
        expected = np.stack([reference.vector(made, text) for text in texts])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


async def test_the_lens_is_a_plain_loop_over_hidden_states(made: Made, tmp_path: Path) -> None:
    async with explored(made, tmp_path) as (app, client):
        analysis = await analysed(app, client, positions=[3])
    ids = [token["id"] for token in analysis["tokens"]]
    out, states = reference.hidden_states(made, ids)
    model = made.model("target")
    follows = [*ids[1:], int(out.logits[0, -1].argmax())]
    for layer, state in enumerate(states[1:]):
        last = layer == len(states) - 2
        with torch.inference_mode():
            logits = model.lm_head(
                state if last else model.model.norm(state)
            )  # the last one is normed already
        if made.family.gemma:
            logits = 3.0 * torch.tanh(logits / 3.0)
        p = logits.double().softmax(-1)
        own = p[range(len(ids)), follows]
        np.testing.assert_allclose(analysis["lens"]["prob"][layer], own, atol=1e-3)
        assert analysis["lens"]["rank"][layer] == (p > own[:, None]).sum(-1).tolist()


async def test_a_pair_from_the_hub_is_recorded_with_its_commits(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {f"somebody/{role}": place for role, place in made.places.items()}
    contents = {name: {f.name: f.read_bytes() for f in place.iterdir()} for name, place in folders.items()}
    table = made.table | {role: f"somebody/{role}" for role in made.places} | {"av_revision": COMMIT}
    with hub(contents) as served:
        served.stand_in(monkeypatch, tmp_path / "hub")
        async with explored(replace(made, root=tmp_path, table=table), tmp_path) as (app, client):
            analysis = await analysed(app, client, positions=[3])
    holds(made, analysis)
    assert {role: analysis["versions"].get(f"{role}_commit") for role in made.places} == dict.fromkeys(
        made.places, COMMIT
    )
