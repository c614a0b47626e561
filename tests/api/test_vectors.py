from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from fastapi import FastAPI
from safetensors import safe_open
from safetensors.numpy import save
from safetensors.torch import save as save_torch

from server.settings import Settings
from tests.api.test_analyses import done
from tests.api.test_bad_input import problem
from tests.conftest import client_of, running, served
from tests.fakes import D, FakePair, FakeSource, activation, text_of

pytestmark = pytest.mark.anyio
V = [0.5, -1.25, 3.0, 0.0, 7.0, -0.1, 2.0, 1.0]


@pytest.fixture
async def id(app: FastAPI, client: httpx.AsyncClient) -> str:
    """A finished analysis of raw text."""
    found: str = (await done(app, client, {"text": "cats"}))["id"]
    return found


def h(position: int) -> Any:
    """The activation there."""
    return activation([ord(c) for c in "cats"][: position + 1]).astype(np.float64)


async def kept(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """A vector that is new."""
    answer = await client.post("/api/vectors", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def terms(id: str, *pairs: tuple[int, float]) -> list[dict[str, Any]]:
    """Terms of a sum."""
    return [{"analysis": id, "position": position, "weight": weight} for position, weight in pairs]


@pytest.mark.parametrize(
    ("pairs", "name"),
    [
        ([(3, 1.0), (1, -1.0)], "“s” − “a”"),
        ([(0, 1 / 3), (1, 1 / 3), (2, 1 / 3)], "mean of “c”, “a”, “t”"),
        ([(2, 1.0)], "“t”"),
        ([(2, -0.5), (0, 2.0)], "−0.5 × “t” + 2 × “c”"),
        ([(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)], "mean of 4 activations"),
    ],
)
async def test_a_sum_is_that_of_the_activations(
    client: httpx.AsyncClient, id: str, pairs: list[tuple[int, float]], name: str
) -> None:
    found = await kept(client, sum=terms(id, *pairs))
    wanted = np.sum([weight * h(position) for position, weight in pairs], axis=0)
    whole = (await client.get(f"/api/vectors/{found['id']}")).json()
    np.testing.assert_allclose(whole.pop("values"), wanted, rtol=1e-6)
    assert whole == found
    assert (found["name"], found["url"], found["file"]) == (name, f"/v/{found['id']}", None)
    assert (found["pair"], found["layer"], found["d_model"]) == ("fake", 1, D)
    assert found["norm"] == pytest.approx(np.linalg.norm(wanted))
    for source, (position, weight) in zip(found["sum"], pairs, strict=True):
        own = h(position)
        cos = own @ wanted / np.linalg.norm(own) / np.linalg.norm(wanted)
        assert (source["position"], source["weight"], source["token"]) == (position, weight, "cats"[position])
        assert source["cos"] == pytest.approx(cos) and source["norm"] == pytest.approx(np.linalg.norm(own))
        assert source["url"] == f"/a/{id}?t={position}"


async def test_a_sum_is_that_of_the_exported_activations(
    client: httpx.AsyncClient, id: str, tmp_path: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.parquet").write_bytes((await client.get(f"/api/analyses/{id}/export.parquet")).content)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    found = await kept(client, sum=terms(id, (3, 1.0), (1, -1.0)))
    values = (await client.get(f"/api/vectors/{found['id']}")).json()["values"]
    exported = [np.asarray(rows[n]["activation"], np.float64) for n in (3, 1)]
    assert values == (exported[0] - exported[1]).astype(np.float32).tolist()


async def test_the_same_vector_has_the_same_address(client: httpx.AsyncClient, id: str) -> None:
    found = await kept(client, name="mine", sum=terms(id, (3, 1.0), (1, -1.0)))
    again = await client.post("/api/vectors", json={"name": "other", "sum": terms(id, (1, -1.0), (3, 1.0))})
    assert (again.status_code, again.json()) == (200, found)
    file = await client.get(f"/api/vectors/{found['id']}/export.safetensors")
    values = (await client.get(f"/api/vectors/{found['id']}")).content
    for body, kind in ((file.content, "application/octet-stream"), (values, "application/octet-stream")):
        back = await client.post("/api/vectors", content=body, headers={"content-type": kind})
        assert (back.status_code, back.json()["id"]) == (200, found["id"])
    assert (await kept(client, sum=terms(id, (3, 1.0))))["id"] != found["id"]


async def test_the_export_says_what_it_is(client: httpx.AsyncClient, id: str, tmp_path: Path) -> None:
    found = await kept(client, name="mine", sum=terms(id, (3, 1.0), (1, -1.0)))
    answer = await client.get(f"/api/vectors/{found['id']}/export.safetensors")
    assert f"fake_vector_{found['id']}.safetensors" in answer.headers["content-disposition"]
    (tmp_path / "v.safetensors").write_bytes(answer.content)
    with safe_open(tmp_path / "v.safetensors", "np") as file:
        np.testing.assert_allclose(file.get_tensor("vector"), h(3) - h(1), rtol=1e-5)
        metadata = file.metadata()
    assert (metadata["name"], metadata["pair"], metadata["layer"]) == ("mine", "fake", "1")
    assert json.loads(metadata["sum"]) == found["sum"]


async def test_values_can_be_sent_as_they_are(client: httpx.AsyncClient) -> None:
    found = await kept(client, values=V, name="<b>mine</b>")
    whole = (await client.get(f"/api/vectors/{found['id']}")).json()
    assert whole["values"] == np.asarray(V, np.float32).astype(float).tolist()
    assert (whole["name"], whole["sum"], whole["file"]) == ("<b>mine</b>", [], None)
    answer = await client.post("/api/vectors", json=V)
    assert (answer.status_code, answer.json()["id"]) == (200, found["id"])


V32 = np.asarray(V, np.float32)


@pytest.mark.parametrize(
    ("body", "tensor"),
    [
        (save({"v": V32}), None),
        (save({"v": V32[None]}), None),
        (save({"v": V32.astype(np.float64), "w": V32[:3]}), "v"),
        (save({"a" * 2000: V32}), None),
        (json.dumps(V).encode(), None),
        (json.dumps({"values": V, "more": 1}).encode(), None),
    ],
)
async def test_a_file_is_taken(client: httpx.AsyncClient, body: bytes, tensor: str | None) -> None:
    headers = {"content-type": "application/octet-stream"}
    asked = {"name": "up", "pair": "fake"} | ({"tensor": tensor} if tensor else {})
    answer = await client.post("/api/vectors", content=body, params=asked, headers=headers)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["file"]) == ("up", "a file")
    values = (await client.get(f"/api/vectors/{answer.json()['id']}")).json()["values"]
    assert values == V32.astype(float).tolist()


async def test_a_header_that_looks_like_json_is_that_of_a_tensor(client: httpx.AsyncClient) -> None:
    """Its length stands first, and may be the code of a brace."""
    plain = save({"v": V32})
    length = int.from_bytes(plain[:8], "little")
    pad = (ord("{") - length) % 256
    body = (length + pad).to_bytes(8, "little") + plain[8 : 8 + length] + b" " * pad + plain[8 + length :]
    assert body[:1] == b"{"
    answer = await client.post(
        "/api/vectors", content=body, headers={"content-type": "application/octet-stream"}
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
async def test_half_precision_is_read_exactly(client: httpx.AsyncClient, dtype: torch.dtype) -> None:
    tensor = torch.tensor(V).to(dtype)
    body = save_torch({"v": tensor})
    answer = await client.post("/api/vectors", files={"file": ("dir/α<i>.safetensors", body)})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["file"], answer.json()["name"]) == ("α<i>.safetensors",) * 2
    values = (await client.get(f"/api/vectors/{answer.json()['id']}")).json()["values"]
    assert values == tensor.float().tolist()


async def test_a_form_brings_its_fields_and_bytes_unchanged(client: httpx.AsyncClient) -> None:
    body = save({"a": V32, "b": np.frombuffer(b"\r\n--\n\r\n\0\xff" * 4, "<f4")})
    data = {"name": "übung", "pair": "fake", "tensor": "a"}
    answer = await client.post("/api/vectors", files={"file": ("v.safetensors", body)}, data=data)
    assert (answer.status_code, answer.json()["name"]) == (201, "übung")


FILE = "application/octet-stream"


@pytest.mark.parametrize(
    ("body", "kind", "field", "said"),
    [
        (save({"v": V32[:7]}), FILE, "file", "7 numbers. An activation here has: fake (8 at layer 1)"),
        (save({"v": np.full(D, np.nan, np.float32)}), FILE, "file", "number at 0 is not finite"),
        (save({"v": np.full(D, 1e39)}), FILE, "file", "not finite in float32"),
        (save({"v": np.zeros(D, np.float32)}), FILE, "file", "length is 0"),
        (save({"v": np.full(D, 1e-40, np.float32)}), FILE, "file", "scale it"),
        (save({"v": np.full(D, 1e30, np.float32)}), FILE, "file", "scale it"),
        (save({"v": V32})[:-3], FILE, "file", "neither JSON nor a whole safetensors file"),
        (save({"v": V32})[:20], FILE, "file", "neither JSON nor a whole safetensors file"),
        (pickle.dumps(V), FILE, "file", "pickled files (.pt, .pth, .npy of objects) are never read"),
        (b"PK\x03\x04" + b"0" * 90, FILE, "file", "never read"),
        (b"", FILE, "file", "neither JSON"),
        (save({"v": np.arange(D, dtype=np.int32)}), FILE, "file", "I32; it should be one of F64, F32"),
        (save({"v": np.stack([V32, V32])}), FILE, "file", "shape [2, 8]"),
        (save({"v": np.float32(1)[None][0:0]}), FILE, "file", "0 numbers"),
        (save({"b": V32, "a": V32}), FILE, "tensor", "2 tensors (a, b): name one"),
        (save({}), FILE, "file", "no tensor"),
        (b"[1, NaN]", FILE, "file", "finite number"),
        (b'["1"]', FILE, "file", "valid number"),
        (b"[" * 100_000, FILE, "file", "JSON"),
        (b'{"values": []}', FILE, "file", "values"),
        (json.dumps([0.5] * 300_000).encode(), FILE, "file", "300,000 numbers"),
        (b"--x--", "multipart/form-data; boundary=x", "file", "Choose a file"),
        (b"--x\r\n", "multipart/form-data; boundary=x", "file", "cut short"),
        (b"--x--", "multipart/form-data", "file", "boundary"),
        (b"--x\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x", "file", "no name"),
    ],
    ids=range(25),
)
async def test_a_file_that_is_none_is_refused(
    client: httpx.AsyncClient, body: bytes, kind: str, field: str, said: str
) -> None:
    found = problem(await client.post("/api/vectors", content=body, headers={"content-type": kind}), 422)
    assert [error["field"] for error in found["errors"]] == [field]
    assert said in found["detail"]
    assert (await client.get("/api/vectors")).json() == []


async def test_a_file_of_a_million_numbers_is_too_large(client: httpx.AsyncClient) -> None:
    body = save({"v": np.ones(1_000_000, np.float32)})
    problem(await client.post("/api/vectors", content=body, headers={"content-type": FILE}), 413)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sum"),
        ({"sum": []}, "sum"),
        ({"sum": [{"analysis": "ID", "position": 0}], "values": V}, "sum"),
        ({"sum": [{"analysis": "ID", "position": 0}], "pair": "fake"}, "pair"),
        ({"sum": [{"analysis": "nobody", "position": 0}]}, "sum.0.analysis"),
        ({"sum": [{"analysis": "\0", "position": 0}]}, "sum.0.analysis"),
        ({"sum": [{"analysis": "ID", "position": 0}, {"analysis": "ID", "position": 4}]}, "sum.1.position"),
        ({"sum": [{"analysis": "ID", "position": -1}]}, "sum.0.position"),
        ({"sum": [{"analysis": "ID", "position": 0, "weight": 0}]}, "sum"),
        ({"sum": [{"analysis": "ID", "position": 0, "weight": 1e7}]}, "sum.0.weight"),
        (
            {"sum": [{"analysis": "ID", "position": 1}, {"analysis": "ID", "position": 1, "weight": -1}]},
            "sum",
        ),
        ({"sum": [{"analysis": "ID", "position": 0}] * 513}, "sum"),
        ({"values": [1.0] * 7}, "values"),
        ({"values": [0.0] * D}, "values"),
        ({"values": [True] * D}, "values.0"),
        ({"values": [1e39] * D}, "values"),
        ({"values": V, "pair": "elsewhere"}, "pair"),
        ({"values": V, "name": ""}, "name"),
        ({"values": V, "name": "x" * 201}, "name"),
        ({"valeus": V}, "valeus"),
    ],
)
async def test_what_is_not_taken_is_named(
    client: httpx.AsyncClient, id: str, body: dict[str, Any], field: str
) -> None:
    text = json.dumps(body).replace('"ID"', f'"{id}"')
    answer = await client.post("/api/vectors", content=text, headers={"content-type": "application/json"})
    assert problem(answer, 422)["errors"][0]["field"] == field


async def test_activations_of_two_pairs_are_not_added(settings: Settings) -> None:
    source = FakeSource(FakePair(), FakePair(name="deep", layer=2))
    async with (
        running(settings.model_copy(update={"extra_pairs": "deep"}), source) as app,
        client_of(app) as client,
    ):
        ids = [(await done(app, client, {"text": "cats", "pair": pair}))["id"] for pair in ("fake", "deep")]
        mixed = {"sum": [{"analysis": id, "position": 2} for id in ids]}
        found = problem(await client.post("/api/vectors", json=mixed), 422)
        assert found["errors"][0]["field"] == "sum.1.analysis"
        assert "by deep at layer 2, the first one by fake at layer 1" in found["detail"]
        unnamed = problem(await client.post("/api/vectors", json={"values": V}), 422)
        assert unnamed["errors"][0]["field"] == "pair"
        assert "fake (layer 1), deep (layer 2)" in unnamed["detail"]
        deep = await kept(client, values=V, pair="deep")
        shallow = await kept(client, values=V, pair="fake")
        assert deep["id"] != shallow["id"] and (deep["pair"], deep["layer"]) == ("deep", 2)
        listed = (await client.get("/api/vectors", params={"pair": "deep", "layer": 2})).json()
        assert [vector["id"] for vector in listed] == [deep["id"]]
        edits = f"/api/analyses/{ids[1]}/interventions"
        refused = problem(await client.post(edits, json={"position": 2, "vector": shallow["id"]}), 422)
        assert refused["errors"][0]["field"] == "vector"
        assert "fake at layer 1 (8 numbers), this analysis is by deep at layer 2" in refused["detail"]
        problem(await client.post(f"/api/vectors/{shallow['id']}/readings"), 503)


async def test_they_are_listed_newest_first_and_deleted(client: httpx.AsyncClient) -> None:
    found = [await kept(client, values=[n + 1.0, *V[1:]]) for n in range(3)]
    listed = (await client.get("/api/vectors", params={"limit": 2})).json()
    assert listed == found[:0:-1]
    older = (await client.get("/api/vectors", params={"before": listed[-1]["id"]})).json()
    assert older == found[:1]
    problem(await client.get("/api/vectors", params={"before": "nobody"}), 422)
    place = f"/api/vectors/{found[0]['id']}"
    assert (await client.post(f"{place}/readings")).status_code == 201
    assert (await client.delete(place)).status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/readings"), ("GET", "/export.safetensors")):
        problem(await client.request(method, place + path), 404)
    assert (await kept(client, values=[1.0, *V[1:]]))["id"] == found[0]["id"]
    assert (await client.get(f"{place}/readings")).json() == []


@pytest.mark.parametrize("id", ["nobody", "%00", "%ff%fe", "%ed%a0%80"])
async def test_addresses_that_lead_nowhere(client: httpx.AsyncClient, id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/readings"), ("GET", "/export.safetensors")):
        problem(await client.request(method, f"/api/vectors/{id}{path}"), 404)


async def test_it_stays_when_its_analysis_is_deleted(client: httpx.AsyncClient, id: str) -> None:
    found = await kept(client, sum=terms(id, (3, 1.0), (1, -1.0)))
    before = (await client.get(f"/api/vectors/{found['id']}")).json()
    assert [source["there"] for source in before["sum"]] == [True, True]
    assert (await client.delete(f"/api/analyses/{id}")).status_code == 204
    after = (await client.get(f"/api/vectors/{found['id']}")).json()
    assert [source.pop("there") for source in after["sum"]] == [False, False]
    assert [source.pop("there") for source in before["sum"]] == [True, True]
    assert after == before
    assert (await client.post(f"/api/vectors/{found['id']}/readings")).status_code == 201


async def test_it_is_read_once_and_scored(client: httpx.AsyncClient, pair: FakePair) -> None:
    found = await kept(client, values=V)
    place = f"/api/vectors/{found['id']}/readings"
    asked = {"samples": 2, "seed": 3}
    first, again = [await client.post(place, json=asked) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == (await client.get(place)).json()[0]
    body = first.json()
    assert body["request"] == {"temperature": 0.7, "max_new_tokens": 200, "samples": 2, "seed": 3}
    assert [r["text"] for r in body["readings"]] == [text_of(V32, n) for n in range(2)]
    assert [r["cos"] for r in body["readings"]] == pytest.approx([1.0, 1.0])
    assert (body["readings"][0]["fve"], body["others"]) == (pytest.approx(1.0), None)
    assert len(pair.verbaliser.finished) == 2
    assert (await client.post(place)).status_code == 201  # another wish
    assert len((await client.get(place)).json()) == 2


async def test_it_is_held_against_readings_of_other_tokens(client: httpx.AsyncClient, id: str) -> None:
    found = await kept(client, sum=terms(id, (3, 1.0)))
    body = (await client.post(f"/api/vectors/{found['id']}/readings")).json()
    cosines = [h(n) @ h(3) / np.linalg.norm(h(n)) / np.linalg.norm(h(3)) for n in (1, 2)]
    assert (body["others"]["n"], body["others"]["texts"]) == (2, 1)  # neither its own nor the first
    assert body["others"]["mean"] == pytest.approx(np.mean(cosines), abs=2e-3)
    assert body["readings"][0]["above"] == 0


async def test_a_reading_that_failed_is_not_kept(client: httpx.AsyncClient, pair: FakePair) -> None:
    place = f"/api/vectors/{(await kept(client, values=V))['id']}/readings"
    pair.verbaliser.broken = {0}
    failed = (await client.post(place)).json()["readings"][0]
    assert (failed["error"], failed["cos"]) == ("The AV choked on this one.", None)
    pair.verbaliser.broken = set()
    assert (await client.get(place)).json() == []
    assert (await client.post(place)).json()["readings"][0]["text"] == text_of(V32)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"samples": 9}, "samples"),
        ({"samples": 0}, "samples"),
        ({"max_new_tokens": 999}, "max_new_tokens"),
        ({"temperature": 6}, "temperature"),
        ({"sampels": 1}, "sampels"),
    ],
)
async def test_a_reading_has_limits(client: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    place = f"/api/vectors/{(await kept(client, values=V))['id']}/readings"
    assert problem(await client.post(place, json=body), 422)["errors"][0]["field"] == field


async def test_a_vector_of_other_weights_is_not_read(
    client: httpx.AsyncClient, id: str, pair: FakePair
) -> None:
    found = await kept(client, sum=terms(id, (3, 1.0), (1, -1.0)))
    sent = await kept(client, values=V)
    pair.fingerprint = "f2"
    refused = problem(await client.post(f"/api/vectors/{found['id']}/readings"), 409)
    assert "other weights of fake" in refused["detail"]
    assert (await client.post(f"/api/vectors/{sent['id']}/readings")).status_code == 201
    pair.d_model = 9
    assert "9 by now" in problem(await client.post(f"/api/vectors/{sent['id']}/readings"), 409)["detail"]


async def test_calls_of_the_models_take_a_vector_in_place_of_activations(
    client: httpx.AsyncClient, pair: FakePair
) -> None:
    id = (await kept(client, values=V))["id"]
    sent, named = [
        [(await client.post(f"/api/{path}", json=body | more)).json() for path, body in CALLS]
        for more in ({"activations": [V]}, {"vector": id})
    ]
    assert named == sent
    assert sent[0]["texts"] == [text_of(V32)]
    for path, body in CALLS:
        for more, field in (
            ({}, "activations"),
            ({"activations": [V], "vector": id}, "activations"),
            ({"vector": "nobody"}, "vector"),
        ):
            answer = await client.post(f"/api/{path}", json=body | more)
            assert problem(answer, 422)["errors"][0]["field"] == field
    two = {"texts": ["a", "b"], "vector": id}
    assert problem(await client.post("/api/score", json=two), 422)["errors"][0]["field"] == "activations"


CALLS: list[tuple[str, dict[str, Any]]] = [("verbalise", {}), ("score", {"texts": [text_of(V32)]})]


@asynccontextmanager
async def being_read(app: FastAPI, client: httpx.AsyncClient, pair: FakePair) -> AsyncIterator[str]:
    """The address of readings of a vector that go on until this ends."""
    vector = (await kept(client, values=V))["id"]
    pair.verbaliser.limit(0)
    answer = await client.post(f"/api/vectors/{vector}/readings", headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.json()["vector"]) == (202, vector)
    async for event in app.state.vector_reader.follow(answer.json()["id"]):
        if event.data.stage == "readings":
            break
    yield answer.headers["location"]
    pair.verbaliser.allow()


async def test_it_is_told_how_far_a_reading_is(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    async with being_read(app, client, pair) as place:
        answer = await client.get(place)
        assert (answer.status_code, answer.json()["progress"]["total"]) == (202, 1)
        every = place.rpartition("/")[0]
        assert (await client.get(f"{every}/pending")).json() == [answer.json()]
        assert (await client.get(every)).json() == []
    told = (await client.get(f"{place}/events")).text.split("\n\n")
    assert told[-2].startswith("event: done") and text_of(V32) in told[-2]
    made = await client.get(place)
    assert (made.status_code, made.json()["readings"][0]["text"]) == (200, text_of(V32))
    assert (await client.get(every)).json() == [made.json()]
    assert (await client.delete(place)).status_code == 204
    assert (await client.get(place)).status_code == 404


async def test_a_reading_goes_on_when_who_asked_leaves(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    async with served(app) as url:
        async with being_read(app, client, pair) as place, httpx.AsyncClient(base_url=url) as other:
            every, _, id = place.rpartition("/")
            call = asyncio.create_task(other.post(every))
            async for event in app.state.vector_reader.follow(id):
                if event.data.stage == "readings":
                    break
            call.cancel()
        found = await app.state.vector_reader.wait(id)
    assert (await client.get(place)).json() == found.model_dump(mode="json")
    assert len(pair.verbaliser.finished) == 1


async def test_a_reading_can_be_cancelled_and_asked_for_again(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    async with being_read(app, client, pair) as place:
        assert (await client.post(f"{place}/cancel")).status_code == 204
        assert (await client.get(place)).status_code == 404
    assert (await client.post(place.rpartition("/")[0])).status_code == 201


async def test_a_vector_that_is_deleted_is_read_no_longer(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    async with being_read(app, client, pair) as place:
        vector = place.rpartition("/readings")[0]
        assert (await client.delete(vector)).status_code == 204
        assert pair.verbaliser.aborted == 1
        assert app.state.scheduler.children(vector.rpartition("/")[2]) == []
    assert (await client.get(place)).status_code == 404


async def test_too_many_readings_at_a_time_are_refused_for_the_moment(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    most, place = app.state.settings.max_vector_readings, f"{(await kept(client, values=V))['url'][3:]}"
    pair.verbaliser.limit(0)
    answers = [
        await client.post(
            f"/api/vectors/{place}/readings", json={"seed": seed}, headers={"prefer": "respond-async"}
        )
        for seed in range(most + 1)
    ]
    assert [answer.status_code for answer in answers] == [202] * most + [429]
    assert "Retry-After" in answers[-1].headers
    pair.verbaliser.allow()
