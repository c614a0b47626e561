from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from server.errors import CheckpointError
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.conftest import client_of, running
from tests.fakes import FakePair, FakeSource

pytestmark = pytest.mark.anyio


async def test_ready_when_the_models_are_and_not_before(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()
    async with running(settings, source, ready=False) as app, client_of(app) as client:
        assert (await client.get("/healthz")).json()["status"] == "alive"
        while (answer := await client.get("/readyz")).json()["detail"] == "starting":
            assert answer.status_code == 503
            await asyncio.sleep(0)  # a call without a network need not let the loading go on
        assert (answer.status_code, answer.json()["detail"]) == (503, "loading the fake")
        source.loads.set()
        await app.state.models.settled()
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_not_ready_while_the_avs_engine_is_started_again(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    pair.verbaliser.unavailable_reason = "The engine has stopped."
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "trouble")
    assert answer.json()["detail"] == "The engine has stopped."
    pair.verbaliser.unavailable_reason = None
    assert (await client.get("/readyz")).status_code == 200


async def test_what_the_engine_counts_is_in_the_metrics(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    pair.verbaliser.counted = {"cached_tokens": 96.0, "restarts": 1.0}
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families((await client.get("/metrics")).text)
        for sample in family.samples
    }
    assert (found["nla_av_cached_tokens_total"], found["nla_av_restarts_total"]) == (96, 1)


async def test_not_ready_says_why_when_the_checkpoint_was_refused(settings: Settings) -> None:
    source = FakeSource(error=CheckpointError("injection_scale is missing: add it to nla_meta.yaml"))
    async with running(settings, source) as app, client_of(app) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert "injection_scale is missing" in answer.json()["detail"]
        asked = await client.post("/api/analyses", json={"text": "a"})
        assert asked.status_code == 503
        assert asked.headers["retry-after"]
        assert "injection_scale is missing" in asked.json()["detail"]


async def test_metrics_count(app: FastAPI, client: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.broken = {1}
    await finish(analyses_of(app), chat("cats"))
    await analyses_of(app).create(chat("cats"))
    text = (await client.get("/metrics")).text
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["nla_analyses_asked_total", "false"] == 1
    assert found["nla_analyses_asked_total", "true"] == 1
    assert found["nla_analyses_ended_total", "done"] == 1
    assert found["nla_readings_total", "false"] == 6
    assert found["nla_readings_total", "true"] == 1
    assert found["nla_analyses_running",] == 0
    assert found["nla_watchers",] == 0
    assert found["nla_models_ready",] == 1
    assert found["nla_stage_seconds_count", "lens"] == 1


async def test_pairs_tell_which_is_resident(client: httpx.AsyncClient) -> None:
    first, second = (await client.get("/api/pairs")).json()
    names = {"name", "target_path", "av_path", "ar_path", "layer", "d_model"}
    assert names <= set(first)
    assert (first["name"], first["resident"], first["state"]) == ("fake", True, "ready")
    assert (second["name"], second["resident"], second["state"]) == ("elsewhere", False, None)
