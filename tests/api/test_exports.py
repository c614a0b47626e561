from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from server.analyses.export import COLUMNS, FORMULA, SIBLING_COLUMNS
from server.interventions.export import COLUMNS as EDIT_COLUMNS
from server.interventions.export import REST
from server.store import repository
from server.store.vectors import unpack
from tests.analyses.asking import analyses_of, until
from tests.api.test_analyses import CHAT, NASTY, done
from tests.fakes import D, FakePair

pytestmark = pytest.mark.anyio


async def rows_of(client: httpx.AsyncClient, id: str) -> list[dict[str, str]]:
    answer = await client.get(f"/api/analyses/{id}/export.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


async def table_of(client: httpx.AsyncClient, id: str) -> Any:
    answer = await client.get(f"/api/analyses/{id}/export.parquet")
    assert answer.status_code == 200
    return pq.read_table(io.BytesIO(answer.content))


def plain(text: str) -> str:
    """What the guard against formulas has put in front, taken off again."""
    return text.removeprefix("'")


async def test_json_is_what_the_api_answers_and_the_edits(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT)
    here = f"/api/analyses/{body['id']}"
    for words in ("about dogs", "=about\u2028mice"):
        await client.post(f"{here}/interventions", json={"position": 3, "text": words, "targets": [" a"]})
    answer = await client.get(f"{here}/export.json")
    edits = (await client.get(f"{here}/interventions")).json()
    assert [edit["request"]["text"] for edit in edits] == ["about dogs", "=about\u2028mice"]
    assert answer.json() == body | {"interventions": edits, "measurements": [], "siblings": []}
    assert answer.headers["content-disposition"].startswith("attachment; ")


async def test_csv_has_a_row_for_each_reading_with_the_numbers_of_the_api(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    body = await done(app, client, CHAT | {"verbalise": {"samples": 2}, "generate": {"max_new_tokens": 3}})
    rows = await rows_of(client, body["id"])
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == len(body["readings"]) == 2 * len(body["tokens"])
    for row, reading in zip(rows, body["readings"], strict=True):
        token = body["tokens"][reading["position"]]
        assert (int(row["position"]), int(row["sample"])) == (reading["position"], reading["sample"])
        assert (plain(row["token"]), row["role"], row["kind"]) == (
            token["text"],
            token["role"],
            token["kind"],
        )
        assert [float(row[n]) for n in ("cos", "mse", "fve")] == [reading[n] for n in ("cos", "mse", "fve")]
        assert (int(row["rank"]), float(row["norm"])) == (reading["rank"], token["norm"])
        assert (plain(row["reading"]), row["truncated"], row["error"]) == (reading["text"], "false", "")
        assert row["flags"].split() == token["flags"]


@pytest.mark.parametrize("text", [*NASTY, '=HYPERLINK("http://evil.example")', '+1-1@a\'b\t"c",;\r\n'])
async def test_any_text_survives_in_csv_and_is_no_formula(
    app: FastAPI, client: httpx.AsyncClient, text: str
) -> None:
    body = await done(app, client, {"text": text})
    rows = await rows_of(client, body["id"])
    assert "".join(plain(row["token"]) for row in rows) == text
    cells = [row[name] for row in rows for name in ("token", "reading", "error")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


async def test_a_failed_reading_says_why(app: FastAPI, client: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.broken = {1}
    body = await done(app, client, CHAT | {"positions": [1, 2]})
    assert [row["error"] for row in await rows_of(client, body["id"])] == ["The AV choked on this one.", ""]
    table = await table_of(client, body["id"])
    assert table["error"].to_pylist() == ["The AV choked on this one.", None]
    assert [v is None for v in table["reconstruction"].to_pylist()] == [True, False]


async def test_a_position_without_a_token_is_exported(app: FastAPI, client: httpx.AsyncClient) -> None:
    asked = {"text": "a", "positions": [0, 20], "generate": {"max_new_tokens": 20}}
    body = await done(app, client, asked)
    assert [row["token"] for row in await rows_of(client, body["id"])] == ["a", ""]
    assert (await table_of(client, body["id"]))["token"].to_pylist() == ["a", None]


async def test_parquet_holds_the_numbers_of_the_api(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, {"text": "=\u2028<b>\N{CAT FACE}", "verbalise": {"samples": 2}})
    rows = (await table_of(client, body["id"])).drop_columns(["activation", "reconstruction"]).to_pylist()
    for row, reading in zip(rows, body["readings"], strict=True):
        token = body["tokens"][reading["position"]]
        assert row == {
            **{
                name: reading[name] for name in ("position", "sample", "cos", "mse", "fve", "rank", "rank_of")
            },
            **{name: token[name] for name in ("role", "kind", "norm", "flags")},
            "token": token["text"],
            "reading": reading["text"],
            "truncated": False,
            "error": None,
        }


async def test_parquet_holds_the_vectors_that_were_kept(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT | {"positions": [5, 2], "verbalise": {"samples": 2}})
    table = await table_of(client, body["id"])
    assert str(table.schema.field("activation").type) == f"fixed_size_list<element: float>[{D}]"
    kept = await app.state.store.read(lambda s: repository.activations(body["id"], s))
    activations = np.array(table["activation"].to_pylist(), np.float32)
    assert np.array_equal(activations, unpack(kept)[[2, 2, 5, 5]])
    reconstructions = np.array(table["reconstruction"].to_pylist(), np.float32)
    norms = np.linalg.norm(activations, axis=1) * np.linalg.norm(reconstructions, axis=1)
    cos = (activations * reconstructions).sum(1) / norms
    assert np.allclose(cos, [r["cos"] for r in body["readings"]], atol=1e-3)


async def test_parquet_says_what_it_is_of(app: FastAPI, client: httpx.AsyncClient) -> None:
    body = await done(app, client, CHAT)
    said = {k.decode(): v.decode() for k, v in (await table_of(client, body["id"])).schema.metadata.items()}
    assert (said["pair"], said["status"], said["url"]) == ("fake", "done", body["url"])
    assert json.loads(said["layer"]) == body["layer"]
    assert json.loads(said["fve_variance"]) == body["fve_variance"]
    for name in ("request", "versions", "baselines"):
        assert json.loads(said[name]) == body[name]


@pytest.mark.parametrize("extension", ["json", "csv", "parquet", "html"])
async def test_what_is_there_of_a_running_analysis_is_exported(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair, extension: str
) -> None:
    pair.verbaliser.limit(2)
    id = (await client.post("/api/analyses", json=CHAT)).json()["id"]
    await until(analyses_of(app), id, "progress", done=2)
    answer = await client.get(f"/api/analyses/{id}/export.{extension}")
    assert answer.status_code == 200
    assert f"_{id}_running.{extension}" in answer.headers["content-disposition"]
    if extension in ("csv", "parquet"):
        count = (
            len(await rows_of(client, id)) if extension == "csv" else (await table_of(client, id)).num_rows
        )
        assert count == 2


@pytest.mark.parametrize("extension", ["json", "csv", "parquet", "html"])
async def test_an_analysis_without_tokens_is_exported_too(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair, extension: str
) -> None:
    pair.target.hold.clear()
    id = (await client.post("/api/analyses", json=CHAT | {"generate": {}})).json()["id"]
    assert (await client.get(f"/api/analyses/{id}/export.{extension}")).status_code == 200
    if extension == "parquet":
        assert (await table_of(client, id)).num_rows == 0


@pytest.mark.parametrize("path", ["nobody/export.csv", "nobody/export.parquet", "nobody/export.html"])
async def test_what_is_not_there_is_not_exported(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/analyses/{path}", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_format_is_not_there(app: FastAPI, client: httpx.AsyncClient) -> None:
    id = (await done(app, client, CHAT))["id"]
    assert (await client.get(f"/api/analyses/{id}/export.exe")).status_code == 404


async def test_a_file_is_named_after_what_is_in_it(app: FastAPI, client: httpx.AsyncClient) -> None:
    id = (await done(app, client, {"text": 'Why do "cats"\r\n../purr; 猫?'}))["id"]
    said = (await client.get(f"/api/analyses/{id}/export.csv")).headers["content-disposition"]
    assert said == (
        f'attachment; filename="fake_why-do-cats-purr-_{id}.csv"; '
        f"filename*=UTF-8''fake_why-do-cats-purr-%E7%8C%AB_{id}.csv"
    )
    assert re.fullmatch(r"[ -~]*", said)


@pytest.mark.parametrize("words", ["about dogs", "=HYPERLINK()", "'quoted'", *NASTY[:5]])
async def test_edits_are_a_table_with_all_that_the_api_tells_of_them(
    app: FastAPI, client: httpx.AsyncClient, words: str
) -> None:
    body = await done(app, client, CHAT)
    here = f"/api/analyses/{body['id']}"
    asked = {"position": 3, "text": words, "mode": "steer", "sweep": [1, 2], "targets": [" a", "b"]}
    made = (await client.post(f"{here}/interventions", json=asked)).json()
    csv_answer = await client.get(f"{here}/interventions.csv")
    (row,) = csv.DictReader(io.StringIO(csv_answer.content.decode(), newline=""))
    parquet = pq.read_table(io.BytesIO((await client.get(f"{here}/interventions.parquet")).content))
    (cells,) = parquet.to_pylist()
    assert list(row) == list(cells) == list(EDIT_COLUMNS)
    assert not row["text"].startswith(FORMULA)
    assert plain(row["text"]) == cells["text"] == words
    assert (row["position"], row["mode"], cells["layer"]) == ("3", "steer", made["layer"])
    assert json.loads(row["targets"]) == [" a", "b"]
    assert plain(row["token"]) == cells["token"] == body["tokens"][3]["text"]
    assert float(row["kl"]) == cells["kl"] == made["kl"]
    assert cells["score_cos"] == made["score"]["cos"]
    assert (cells["first_after"], cells["first_after_prob"]) == tuple(made["after"]["top"][0][1:])
    assert plain(row["reply_before"]) == cells["reply_before"] == made["before"]["text"]
    for name in set(made) - {"targets"}:  # nothing of the answer is missing
        told = json.loads(row[name]) if name in REST else cells[name]
        assert told == made[name], name
    assert json.loads(parquet.schema.metadata[b"request"])["messages"] == CHAT["messages"]


@pytest.mark.parametrize("name", ["interventions", "siblings"])
async def test_a_table_of_nothing_has_its_columns(app: FastAPI, client: httpx.AsyncClient, name: str) -> None:
    body = await done(app, client, CHAT)
    here = f"/api/analyses/{body['id']}/{name}"
    (head,) = (await client.get(f"{here}.csv")).content.decode().splitlines()
    table = pq.read_table(io.BytesIO((await client.get(f"{here}.parquet")).content))
    assert (
        head.split(",")
        == table.column_names
        == list(EDIT_COLUMNS if name == "interventions" else SIBLING_COLUMNS)
    )
    assert table.num_rows == 0
    assert (await client.get("/api/analyses/nobody/" + name + ".csv")).status_code == 404
