from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, nullcontext
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from server.nla.models.local import LocalReconstructor, ModelThread
from server.settings import Settings
from tests.api.test_bad_input import problem
from tests.conftest import client_of, running, served
from tests.fakes import D, FakePair, FakeReconstructorModel, FakeSource, activation, held, text_of, vector_of

pytestmark = pytest.mark.anyio
H = [activation([n]).tolist() for n in range(3)]


async def test_reconstruct(client: httpx.AsyncClient) -> None:
    texts = ["about cats", text_of(activation([1]))]
    body = (await client.post("/api/reconstruct", json={"texts": texts})).json()
    np.testing.assert_allclose(body["activations"], [vector_of(text) for text in texts], rtol=1e-6)


async def test_verbalise(client: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.broken = {1}
    body = (await client.post("/api/verbalise", json={"activations": H})).json()
    assert body["texts"] == [text_of(activation([0])), "", text_of(activation([2]))]
    assert [r["error"] for r in body["readings"]] == [None, "The AV choked on this one.", None]


async def test_verbalise_takes_the_avs_settings(client: httpx.AsyncClient) -> None:
    ask = {"activations": H[:1], "verbalise": {"max_new_tokens": 2}}
    body = (await client.post("/api/verbalise", json=ask)).json()
    assert body["readings"] == [{"text": "sample 0", "truncated": True, "error": None}]


async def test_a_score_says_what_was_quantised(client: httpx.AsyncClient, pair: FakePair) -> None:
    ask = {"texts": ["cats"], "activations": H[:1]}
    assert (await client.post("/api/score", json=ask)).json()["precision"] is None
    pair.versions["precision"] = "ar=8bit"
    assert (await client.post("/api/score", json=ask)).json()["precision"] == "ar=8bit"


async def test_score(client: httpx.AsyncClient) -> None:
    texts = ["about cats", text_of(activation([1])), "about dogs"]
    body = (await client.post("/api/score", json={"texts": texts, "activations": H})).json()
    assert body["fve_variance"] == 0.5
    for text, h, score in zip(texts, H, body["scores"], strict=True):
        r = vector_of(text).astype(float)
        cos = float(np.dot(h, r) / np.linalg.norm(h) / np.linalg.norm(r))
        assert score == pytest.approx(
            {"cos": cos, "mse": 2 - 2 * cos, "fve": 1 - (2 - 2 * cos) / 0.5}, abs=1e-6
        )


async def test_a_pair_without_a_variance_has_no_fve(client: httpx.AsyncClient, pair: FakePair) -> None:
    pair.variance = None
    body = (await client.post("/api/score", json={"texts": ["a"], "activations": H[:1]})).json()
    assert body["scores"][0]["fve"] is None


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("reconstruct", {}, "texts"),
        ("reconstruct", {"texts": []}, "texts"),
        ("reconstruct", {"texts": ["a", ""]}, "texts.1"),
        ("reconstruct", {"texts": ["a"] * 65}, "texts"),
        ("verbalise", {"activations": []}, "activations"),
        ("verbalise", {"activations": [H[0], H[1][:-1]]}, "activations.1"),
        ("verbalise", {"activations": [[1.0] * (D - 1) + ["x"]]}, f"activations.0.{D - 1}"),
        ("verbalise", {"activations": [[1e39] * D]}, "activations.0.0"),
        ("verbalise", {"activations": [[1.0] * D] * 65}, "activations"),
        ("verbalise", {"activations": H, "verbalise": {"samples": 2}}, "verbalise.samples"),
        ("verbalise", {"activations": H, "verbalise": {"max_new_tokens": 999}}, "verbalise.max_new_tokens"),
        ("score", {"texts": ["a"], "activations": H}, "activations"),
    ],
)
async def test_what_is_not_taken(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    assert problem(await client.post(f"/api/{path}", json=body), 422)["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("texts", "field", "said"),
    [
        (
            ["a", "b" * 513, "c" * 600],
            "texts.1",
            "513 tokens; this server gives the AR up to 512 of one text",
        ),
        (["a" * 512] * 17, "texts", "8,704 tokens in all; this server takes up to 8,192 in one call"),
    ],
)
@pytest.mark.parametrize("path", ["reconstruct", "score"])
async def test_texts_that_are_too_long_are_refused_while_the_ar_is_busy_with_others(
    client: httpx.AsyncClient, pair: FakePair, path: str, texts: list[str], field: str, said: str
) -> None:
    body: dict[str, Any] = {"texts": texts} | (
        {"activations": [H[0]] * len(texts)} if path == "score" else {}
    )
    with held(pair.reconstructor.hold):
        busy = asyncio.create_task(client.post("/api/reconstruct", json={"texts": ["a"]}))
        await asyncio.to_thread(pair.reconstructor.begun.wait)
        found = problem(await client.post(f"/api/{path}", json=body), 422)
    assert found["errors"][0]["field"] == field
    assert said in found["errors"][0]["detail"]
    assert "NLA_MAX_" in found["errors"][0]["detail"]
    assert (await busy).status_code == 200
    assert pair.reconstructor.batches == [["a"]]


async def test_between_two_batches_the_ar_does_other_work(
    client: httpx.AsyncClient, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ar, run = FakeReconstructorModel(), ModelThread.run
    monkeypatch.setattr(pair, "reconstructor", LocalReconstructor(ar, nullcontext()))
    waiting = asyncio.Event()

    async def seen(*args: Any) -> Any:
        if ar.begun.is_set():
            waiting.set()
        return await run(*args)

    monkeypatch.setattr(ModelThread, "run", seen)
    with held(ar.hold):
        large = asyncio.create_task(client.post("/api/reconstruct", json={"texts": ["a", "b", "c"]}))
        await asyncio.to_thread(ar.begun.wait)
        small = asyncio.create_task(client.post("/api/score", json={"texts": ["x"], "activations": H[:1]}))
        await waiting.wait()
    assert [(await task).status_code for task in (large, small)] == [200, 200]
    assert ar.batches == ["a", "x", "b", "c"]


@pytest.mark.parametrize("ends", ["the client leaves", "the server ends"])
async def test_a_call_that_nobody_waits_for_stops_after_its_batch(
    app: FastAPI, pair: FakePair, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    ar = FakeReconstructorModel()
    local = LocalReconstructor(ar, nullcontext())
    reconstruct = local.reconstruct
    stopped = asyncio.Event()

    async def watched(*args: Any) -> Any:
        try:
            return await reconstruct(*args)
        except asyncio.CancelledError:
            stopped.set()
            raise

    monkeypatch.setattr(local, "reconstruct", watched)
    monkeypatch.setattr(pair, "reconstructor", local)
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(served(app))
        # Whoever calls without a network is cancelled itself, as the server does with its calls when it ends.
        client = httpx.AsyncClient(base_url=url) if ends == "the client leaves" else client_of(app)
        await opened.enter_async_context(client)
        with held(ar.hold):
            call = asyncio.create_task(client.post("/api/reconstruct", json={"texts": ["a", "b", "c"]}))
            await asyncio.to_thread(ar.begun.wait)
            call.cancel()
            await stopped.wait()
        await reconstruct(["x"])  # whatever came before it has had its turn
    assert "b" not in ar.batches


@pytest.mark.parametrize("size", [1e-300, 1e-20, 1e30])
async def test_an_activation_beyond_float32_is_refused(client: httpx.AsyncClient, size: float) -> None:
    asked = {"activations": [H[0], [size] * D]}
    for path, more in (("verbalise", {}), ("score", {"texts": ["a", "b"]})):
        answer = problem(await client.post(f"/api/{path}", json=asked | more), 422)
        assert answer["errors"][0]["field"] == "activations.1"
        assert "beyond what float32" in answer["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_numbers_that_are_none(client: httpx.AsyncClient, number: str) -> None:
    content = '{"activations": [[' + ", ".join(["1.0"] * (D - 1) + [number]) + "]]}"
    answer = await client.post(
        "/api/verbalise", content=content, headers={"Content-Type": "application/json"}
    )
    assert problem(answer, 422)["errors"][0]["field"] == f"activations.0.{D - 1}"


async def test_not_before_the_models_are_there(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app, client_of(app) as client:
        for path, body in (
            ("reconstruct", {"texts": ["a"]}),
            ("verbalise", {"activations": H}),
            ("score", {"texts": ["a"], "activations": H[:1]}),
        ):
            problem(await client.post(f"/api/{path}", json=body), 503)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("reconstruct", {"texts": ["a"]}),
        ("verbalise", {"activations": H}),
        ("score", {"texts": ["a"], "activations": H[:1]}),
    ],
)
async def test_a_pair_that_is_not_here_is_a_fault_of_the_request(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = problem(await client.post(f"/api/{path}", json=body | {"pair": "nobody"}), 422)
    assert answer["errors"][0]["field"] == "pair" and "There is no pair named 'nobody'" in answer["detail"]
