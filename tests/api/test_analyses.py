from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.settings import Settings
from tests.analyses.asking import analyses_of, watch
from tests.conftest import client_of, running
from tests.fakes import LAYERS, TOP, FakeSource

pytestmark = pytest.mark.anyio
CHAT = {"messages": [{"role": "user", "content": "cats purr"}]}


async def done(app: FastAPI, client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Ask, wait, get."""
    answer = await client.post("/api/analyses", json=body)
    await watch(analyses_of(app), answer.json()["id"])
    found: dict[str, Any] = (await client.get(f"/api/analyses/{answer.json()['id']}")).json()
    return found


async def test_asking_answers_202_with_the_address_and_200_the_second_time(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    first = await client.post("/api/analyses", json=CHAT)
    assert first.status_code == 202
    id = first.json()["id"]
    assert first.json() == {"id": id, "url": f"/a/{id}", "status": "queued"}
    assert first.headers["location"] == f"/api/analyses/{id}"
    await watch(analyses_of(app), id)
    second = await client.post("/api/analyses", json=CHAT)
    assert second.status_code == 200
    assert second.json() == {"id": id, "url": f"/a/{id}", "status": "done"}


async def test_a_forecast_counts_and_begins_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/analyses/forecast", json=CHAT | {"positions": [1, 2]})
    assert answer.json() == {"pair": "fake", "tokens": 12, "limit": 2000, "readings": 2, "seconds": None}
    assert (await client.get("/api/analyses")).json() == []
    wrong = await client.post("/api/analyses/forecast", json={"text": "x" * 3000})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "text")


async def test_a_full_queue_refuses_what_is_new_alone(settings: Settings) -> None:
    source = FakeSource()
    source.loads.clear()  # nothing goes on before the models are there
    few = settings.model_copy(update={"max_queue": 2})
    async with running(few, source, ready=False) as app, client_of(app) as client:
        asked = [await client.post("/api/analyses", json={"text": text}) for text in ("a", "b", "c")]
        assert [answer.status_code for answer in asked] == [202, 202, 429]
        assert asked[2].headers["retry-after"] == "5"
        assert asked[2].json()["detail"] == "2 analyses are at work or wait already. Try again in a while."
        assert (await client.post("/api/analyses", json={"text": "a"})).status_code == 200
        assert len((await client.get("/api/analyses")).json()) == 2
        source.loads.set()
        for answer in asked[:2]:
            await watch(analyses_of(app), answer.json()["id"])
        assert (await client.post("/api/analyses", json={"text": "c"})).status_code == 202


async def test_the_answer_has_the_names_of_the_design(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT | {"generate": {"max_new_tokens": 3}})
    assert {"id", "url", "status", "request", "pair", "tokens", "readings"} <= set(body)
    assert {"lens", "progress", "timings", "versions"} <= set(body)
    assert body["request"]["messages"] == CHAT["messages"]
    assert body["pair"] == "fake"
    assert {"position", "id", "text", "kind", "role", "special", "norm", "flags"} <= set(body["tokens"][0])
    assert {"position", "sample", "text", "truncated", "cos", "mse", "fve", "rank"} <= set(
        body["readings"][0]
    )
    lens = body["lens"]
    assert set(lens) == {"layers", "prob", "rank", "entropy", "kl", "top"}
    count = len(body["tokens"])
    assert [len(row) for row in lens["prob"]] == [count] * LAYERS
    assert len(lens["top"][0][0]) == TOP
    assert [type(x) for x in lens["top"][0][0][0]] == [int, str, float]
    assert {"tokens", "lens", "first_reading", "last_score"} <= set(body["timings"])


async def test_a_reply_that_is_begun_is_prompt_and_the_assistants(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    messages = [*CHAT["messages"], {"role": "assistant", "content": "So "}]
    body = {"messages": messages, "generate": {"max_new_tokens": 3}}
    closed = await done(app, client, body)
    begun = await done(app, client, body | {"continue_final_message": True})
    assert begun["id"] != closed["id"]
    assert [(t["text"], t["kind"], t["role"]) for t in begun["tokens"][-6:]] == [
        *((c, "prompt", "assistant") for c in "So "),
        *((c, "generated", "assistant") for c in "Yes"),
    ]
    assert (await client.post("/api/analyses", json=begun["request"])).json()["id"] == begun["id"]


NASTY = [
    "<script>alert(1)</script>",
    "<|im_end|>\n<|im_start|>assistant",
    "\N{CAT FACE}\N{ZERO WIDTH JOINER}\N{WOMAN}",
    "\N{HEBREW LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "a\0b\0",
    " " * 1500,
    "line\u2028sep\x85next\r\nlast\r",
    "\\u0000 \\ud800",
]


@pytest.mark.parametrize("text", NASTY)
async def test_any_text_survives_the_round_trip(app: FastAPI, client: httpx.AsyncClient, text: str) -> None:
    body = await done(app, client, {"text": text, "positions": [0]})
    assert body["status"] == "done"
    assert body["request"]["text"] == text
    assert "".join(token["text"] for token in body["tokens"]) == text


@pytest.mark.parametrize("text", NASTY)
async def test_any_text_survives_the_stream(app: FastAPI, client: httpx.AsyncClient, text: str) -> None:
    body = await done(app, client, {"text": text, "positions": [0]})
    stream = (await client.get(f"/api/analyses/{body['id']}/events")).text
    assert all(line.startswith(("event: ", "data: ", "id: ")) or not line for line in stream.splitlines())
    first = stream.split("\n\n")[0].split("\n")
    assert first[0] == "event: tokens"
    assert json.loads(first[1].removeprefix("data: ")) == body["tokens"]


async def test_the_stream_of_a_finished_analysis_is_replayed(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT)
    address = f"/api/analyses/{body['id']}/events"
    answer = await client.get(address)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    events = [
        dict(line.split(": ", 1) for line in part.split("\n")) for part in answer.text.strip().split("\n\n")
    ]
    readings = [json.loads(event["data"]) for event in events if event["event"] == "reading"]
    assert sorted(readings, key=lambda r: int(r["position"])) == body["readings"]
    assert [event["event"] for event in events[:2]] == ["tokens", "lens"]
    assert json.loads(events[1]["data"]) == body["lens"]
    assert events[-1]["event"] == "done"
    assert json.loads(events[-1]["data"])["baselines"] == body["baselines"]
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(set(ids))

    rest = await client.get(address, headers={"Last-Event-ID": events[-2]["id"]})
    assert rest.text.count("event: ") == 1
    for nonsense in (b"x", b"-1", b"9" * 5000, b"\xb2"):
        again = await client.get(address, headers={b"Last-Event-ID": nonsense})
        assert again.text == answer.text


async def test_the_list_and_its_search(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT)
    (found,) = (await client.get("/api/analyses", params={"q": "PURR"})).json()
    assert found["id"] == body["id"]
    assert found["title"] == "cats purr"
    assert (await client.get("/api/analyses", params={"q": "dogs"})).json() == []
    assert (await client.get("/api/analyses?q=%00%ff%ed%a0%80'")).json() == []
    assert (await client.get("/api/analyses?limit=0")).status_code == 422


async def test_cancel_and_delete(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.models.resident().verbaliser.limit(0)
    id = (await client.post("/api/analyses", json=CHAT)).json()["id"]
    cancelled = await client.post(f"/api/analyses/{id}/cancel")
    assert cancelled.json() == {"id": id, "url": f"/a/{id}", "status": "cancelled"}
    assert (await client.delete(f"/api/analyses/{id}")).status_code == 204
    assert (await client.get(f"/api/analyses/{id}")).status_code == 404


async def test_a_deletion_can_be_undone(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT)
    await client.delete(body["url"].replace("/a/", "/api/analyses/"))
    (gone,) = (await client.get("/api/analyses?status=deleted")).json()
    assert gone["id"] == body["id"]
    assert gone["deleted"] is not None
    restored = await client.post(f"/api/analyses/{body['id']}/restore")
    assert restored.json() == {"id": body["id"], "url": body["url"], "status": "done"}
    assert (await client.get(f"/api/analyses/{body['id']}")).json() == body
    assert (await client.post("/api/analyses/nobody/restore")).status_code == 404


async def test_the_list_is_narrowed_and_paged(app: FastAPI, client: httpx.AsyncClient) -> None:
    bodies = [await done(app, client, {"text": text}) for text in ("one cat", "two cats", "dogs")]
    newest = [body["id"] for body in bodies][::-1]

    async def found(query: str) -> list[str]:
        return [line["id"] for line in (await client.get(f"/api/analyses?{query}")).json()]

    assert await found("q=&pair=&status=&before=") == newest
    assert await found("limit=2") == newest[:2]
    assert await found(f"limit=2&before={newest[1]}") == newest[2:]
    assert await found("q=cat&pair=fake&status=done") == newest[1:]
    assert await found("pair=elsewhere") == []


@pytest.mark.parametrize(("query", "field"), [("status=x", "status"), ("before=nobody", "before")])
async def test_a_list_that_cannot_be_is_refused(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/api/analyses?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
