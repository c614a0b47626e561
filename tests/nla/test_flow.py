"""The whole flow on the real demo pair, through HTTP: what is answered is what the models say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from scipy.spatial.distance import cosine
from scipy.special import rel_entr, softmax

from server.app import create_app
from server.nla.checkpoints.pairs import DEFAULT
from server.nla.flags import is_content
from server.nla.models.loaded_pair import LoadedPair
from server.nla.patching.patches import Patch
from server.pairs.catalogue import LayerKey
from server.settings import Settings
from tests.conftest import client_of
from tests.nla import patched

pytestmark = [pytest.mark.anyio, pytest.mark.demo]

ASK = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "generate": {"max_new_tokens": 12},
    "positions": "generated",
}


class Lent(LoadedPair):
    """A pair that is not the app's to close."""

    async def close(self) -> None:
        """The test run closes it."""


class Loaded:
    """The pair of this test run."""

    def __init__(self, pair: LoadedPair) -> None:
        self.pair = pair

    def names(self) -> list[str]:
        return [self.pair.name]

    def describe(self) -> list[dict[str, Any]]:
        return [{"name": self.pair.name, "layer": self.pair.layer, "d_model": self.pair.d_model}]

    def layer_key(self, name: str) -> LayerKey:
        return LayerKey(name, self.pair.layer)

    async def load(self, name: str, progress: Callable[[str], None]) -> LoadedPair:
        return Lent(**vars(self.pair))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, pair=DEFAULT)


@pytest.fixture
async def client(settings: Settings, pair: LoadedPair) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, Loaded(pair))
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        yield client


async def finished(client: httpx.AsyncClient, ask: dict[str, Any]) -> dict[str, Any]:
    made = (await client.post("/api/analyses", json=ask)).json()
    await client.get(f"/api/analyses/{made['id']}/events")  # ends when the analysis does
    found: dict[str, Any] = (await client.get(f"/api/analyses/{made['id']}")).json()
    assert found["status"] == "done", found["error"]
    return found


async def test_the_reply_is_what_the_model_says(client: httpx.AsyncClient) -> None:
    found = await finished(client, ASK)
    reply = "".join(t["text"] for t in found["tokens"] if t["kind"] == "generated")
    assert reply == "The capital of France is Paris.<|im_end|>"


async def test_a_reply_that_is_begun_is_continued(client: httpx.AsyncClient, pair: LoadedPair) -> None:
    solved = [(12, 3, 36), (25, 4, 100), (31, 2, 62)]
    lines = [[("user", f"{a} * {b}"), ("assistant", f"{a} * {b} = {c}")] for a, b, c in solved]
    chat = [turn for pair_of_turns in lines for turn in pair_of_turns]
    chat += [("user", "21 * 4"), ("assistant", "21 * 4 =")]
    ask = {
        "messages": [{"role": role, "content": content} for role, content in chat],
        "continue_final_message": True,
        "generate": {"max_new_tokens": 8},
        "positions": "generated",
    }
    found = await finished(client, ask)
    assert found["request"]["continue_final_message"] is True
    begun = [t for t in found["tokens"] if t["kind"] == "prompt"][-len(pair.prompter.word("21 * 4 =")) :]
    assert "".join(t["text"] for t in begun) == "21 * 4 ="
    assert {(t["role"], t["special"]) for t in begun} == {("assistant", False)}
    reply = "".join(t["text"] for t in found["tokens"] if t["kind"] == "generated")
    assert reply.removesuffix("<|im_end|>").strip().isdigit(), reply


async def test_every_score_is_that_of_the_text_it_stands_beside(
    client: httpx.AsyncClient, pair: LoadedPair
) -> None:
    found = await finished(client, ASK)
    trace = pair.target.model.trace([t["id"] for t in found["tokens"]])
    made = pair.reconstructor.model.reconstruct([r["text"] for r in found["readings"]])
    for reading, r in zip(found["readings"], made, strict=True):
        cosines = [1 - cosine(h, r) for h in trace.activations]
        own = cosines[reading["position"]]
        assert reading["cos"] == pytest.approx(own, abs=1e-3)
        assert reading["mse"] == pytest.approx(2 * (1 - own), abs=2e-3)
        assert pair.variance is not None
        assert reading["fve"] == pytest.approx(1 - 2 * (1 - own) / pair.variance, abs=5e-3)
        others = [
            c
            for token, c in zip(found["tokens"], cosines, strict=True)
            if is_content(token["position"], token["special"], token["flags"])
        ]
        assert reading["rank"] == 1 + sum(c > own + 1e-6 for c in others)


async def test_norms_and_lens_are_those_of_the_trace(client: httpx.AsyncClient, pair: LoadedPair) -> None:
    found = await finished(client, ASK)
    trace = pair.target.model.trace([t["id"] for t in found["tokens"]])
    norms = np.linalg.norm(trace.activations, axis=1)
    assert [t["norm"] for t in found["tokens"]] == pytest.approx(norms.tolist(), rel=1e-3)
    assert found["lens"]["layers"] == list(range(30))
    np.testing.assert_allclose(found["lens"]["prob"], trace.lens.prob, atol=1e-3)
    assert found["lens"]["rank"] == trace.lens.rank.tolist()


async def test_what_is_finished_is_not_computed_again(settings: Settings, pair: LoadedPair) -> None:
    apps = [create_app(settings, Loaded(pair)) for _ in range(2)]
    answers = []
    for app in apps:
        async with app.router.lifespan_context(app), client_of(app) as client:
            await app.state.models.settled()
            before = await finished(client, ASK)
            answers.append((before, (await client.post("/api/analyses", json=ASK)).status_code))
    assert answers[0] == answers[1]
    assert answers[0][1] == 200


async def test_odd_text_is_analysed_and_given_back_unharmed(client: httpx.AsyncClient) -> None:
    text = "<script>alert(1)</script> שלום a\x00b 🦜 <|im_end|>"
    found = await finished(client, {"text": text, "positions": [1]})
    assert "".join(t["text"] for t in found["tokens"]) == text


async def test_reconstruct_verbalise_and_score_agree(
    client: httpx.AsyncClient, pair: LoadedPair, ids: list[int]
) -> None:
    h = pair.target.model.trace(ids).activations[28]
    said = (await client.post("/api/verbalise", json={"activations": [h.tolist()]})).json()
    text = said["readings"][0]["text"]
    made = (await client.post("/api/reconstruct", json={"texts": [text]})).json()["activations"][0]
    score = (await client.post("/api/score", json={"texts": [text], "activations": [h.tolist()]})).json()[
        "scores"
    ][0]
    assert score["cos"] == pytest.approx(1 - cosine(h, made), abs=1e-5)


async def test_an_edit_of_the_words_changes_what_the_model_says(client: httpx.AsyncClient) -> None:
    found = await finished(client, {"text": "The capital of France is", "positions": [3]})
    assert found["tokens"][3]["text"] == " France"
    ask = {
        "position": 3,
        "text": 'The final token is " Spain", next likely ",".',
        "targets": [" Paris", " Madrid"],
    }
    answer = await client.post(f"/api/analyses/{found['id']}/interventions", json=ask)
    edited = answer.json()
    controls = {control["kind"]: control for control in edited["controls"]}
    assert (edited["before"]["top"][0][1], edited["after"]["top"][0][1]) == (" Paris", " Madrid")
    assert (edited["before"]["targets"][0]["rank"], edited["after"]["targets"][1]["rank"]) == (0, 0)
    assert (controls["random"]["n"], controls["random"]["above"]) == (16, 0)
    assert controls["unedited"]["kept"] == 1


async def test_a_strength_does_in_a_sweep_what_it_does_alone(client: httpx.AsyncClient) -> None:
    found = await finished(client, {"text": "The capital of France is", "positions": [3]})
    ask = {"position": 3, "text": "A word about Spain.", "mode": "steer", "alpha": 0.5, "sweep": [0.25, 0.5]}
    answer = await client.post(f"/api/analyses/{found['id']}/interventions", json=ask)
    edited = answer.json()
    weaker, same = edited["sweep"]
    assert same["kl"] == pytest.approx(edited["kl"], rel=1e-3)
    assert same["first"][:2] == edited["after"]["top"][0][:2]
    assert weaker["kl"] < same["kl"]
    old = edited["before"]["top"][0]
    known = {id: prob for id, _, prob in edited["after"]["top"]}
    if old[0] in known:  # what the patched model still finds likely is told with its probability
        assert same["old_first"] == pytest.approx(known[old[0]], rel=1e-3)
    assert 0 <= weaker["elsewhere"] <= same["elsewhere"] <= 1


@pytest.mark.parametrize("asked", [{"mode": "replace"}, {"mode": "steer", "alpha": 0.5}])
async def test_a_vector_does_what_it_does_by_hand(
    client: httpx.AsyncClient, pair: LoadedPair, asked: dict[str, Any]
) -> None:
    france, spain = [
        await finished(client, {"text": f"The capital of {name} is", "positions": [3]})
        for name in ("France", "Spain")
    ]
    terms = [
        {"analysis": spain["id"], "position": 3},
        {"analysis": france["id"], "position": 3, "weight": -1},
    ]
    made = (await client.post("/api/vectors", json={"sum": terms})).json()
    trace = pair.target.model.trace
    h, v = (trace([t["id"] for t in found["tokens"]]).activations[3] for found in (france, spain))
    difference = v.astype(np.float64) - h
    whole = (await client.get(f"/api/vectors/{made['id']}")).json()
    np.testing.assert_allclose(whole["values"], difference, atol=1e-2 * np.abs(difference).max())
    ask = {"position": 3, "vector": made["id"], "targets": [" Madrid"], **asked}
    edited = (await client.post(f"/api/analyses/{france['id']}/interventions", json=ask)).json()
    unit = (np.asarray(whole["values"]) / np.linalg.norm(whole["values"])).astype(np.float32)
    ids = [t["id"] for t in france["tokens"]]
    own, after = (
        softmax(patched.logits(pair.target.model.model, pair.layer, ids, patch)[-1])
        for patch in (None, Patch(3, unit, asked.get("alpha")))
    )
    assert edited["kl"] == pytest.approx(rel_entr(own, after).sum(), rel=1e-3)
    assert edited["after"]["targets"][0]["prob"] == pytest.approx(
        after[pair.prompter.word(" Madrid")[0]], rel=1e-3
    )
    assert {"random", "unedited"} <= {control["kind"] for control in edited["controls"]}


async def test_a_vector_is_read_by_its_direction_alone(
    client: httpx.AsyncClient, pair: LoadedPair, ids: list[int]
) -> None:
    h = pair.target.model.trace(ids).activations[28]
    said = (await client.post("/api/verbalise", json={"activations": [h.tolist()]})).json()["texts"][0]
    for length in (1e-3, 1.0, 1e3):
        made = (await client.post("/api/vectors", json={"values": (h * length).tolist()})).json()
        read = (await client.post(f"/api/vectors/{made['id']}/readings")).json()
        score = (await client.post("/api/score", json={"texts": [said], "vector": made["id"]})).json()[
            "scores"
        ][0]
        assert read["readings"][0]["text"] == said
        assert read["readings"][0]["cos"] == pytest.approx(score["cos"], abs=1e-4)
