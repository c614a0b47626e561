"""The whole flow on the real demo pair, through HTTP: what is answered is what the models say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from scipy.spatial.distance import cosine

from server.app import create_app
from server.nla.checkpoints.pairs import DEFAULT
from server.nla.flags import is_content
from server.nla.models.loaded_pair import LoadedPair
from server.pairs.catalogue import LayerKey
from server.settings import Settings
from tests.conftest import client_of

pytestmark = pytest.mark.anyio

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
        return [{"name": self.pair.name}]

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
