"""Studies over HTTP: asked for, followed, listed, exported, refused with the field at fault."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from tests.api.test_bad_input import problem
from tests.fakes import FakePair, FakeSource, held
from tests.studies.sums import multiplying

pytestmark = pytest.mark.anyio
SUMS = {"kind": "multiplication", "problems": 4, "factors": [[20, 99], [2, 9]], "seed": 1}


@pytest.fixture
def source() -> FakeSource:
    """A pair that multiplies."""
    return multiplying()


async def events(client: httpx.AsyncClient, id: str, last: str | None = None) -> list[tuple[str, str, Any]]:
    """(id, kind, data) of each event to the end."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with client.stream("GET", f"/api/studies/{id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        blocks = (await answer.aread()).decode().split("\n\n")
    found = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in blocks]
    return [(each["id"], each["event"], json.loads(each["data"])) for each in found if "event" in each]


async def made(client: httpx.AsyncClient, **request: Any) -> dict[str, Any]:
    answer = await client.post("/api/studies", json=request)
    assert answer.status_code in (200, 202), answer.text
    assert (await events(client, answer.json()["id"]))[-1][1] == "done"
    study: dict[str, Any] = (await client.get(answer.headers["location"])).json()
    return study


async def test_it_is_asked_for_and_found_again(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/studies", json=SUMS)
    assert answer.status_code == 202 and set(answer.json()) == {"id", "url", "status"}
    id = answer.json()["id"]
    assert answer.json()["url"] == f"/s/{id}"
    told = await events(client, id)
    assert told[-1][1:] == ("done", {"id": id, "url": f"/s/{id}", "status": "done", "error": None})
    study = (await client.get(f"/api/studies/{id}")).json()
    assert (study["status"], study["progress"]["done"], study["progress"]["total"]) == ("done", 4, 4)
    for alignment in ("at", "before"):
        for statistic in study["statistics"][alignment].values():
            assert {"value", "interval", "null", "n"} <= set(statistic)
    again = await client.post("/api/studies", json=SUMS)
    assert (again.status_code, again.json()["status"]) == (200, "done")
    (line,) = (await client.get("/api/studies")).json()
    assert (line["id"], line["title"], line["cases"]) == (id, "20–99 × 2–9: 4 problems", 4)
    assert (await client.get("/api/studies", params={"before": id})).json() == []


async def test_events_go_on_where_a_watcher_left(client: httpx.AsyncClient) -> None:
    id = (await made(client, **SUMS))["id"]
    told = await events(client, id)
    cases = [data for _, kind, data in told if kind == "case"]
    assert [case["number"] for case in cases] == [0, 1, 2, 3]
    middle = told[2]
    assert [each[0] for each in await events(client, id, middle[0])] == [each[0] for each in told[3:]]


async def test_results_are_tables_of_readings(client: httpx.AsyncClient) -> None:
    study = await made(client, **SUMS)
    answer = await client.get(f"/api/studies/{study['id']}/results.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    digits = [(case, digit) for case in study["cases"] for digit in case["digits"]]
    assert len(rows) == 2 * len(digits)
    first, case, digit = rows[0], *digits[0]
    assert (first["case"], first["alignment"], first["digit"]) == ("0", "at", digit["digit"])
    assert (first["product"], first["reading"]) == (str(case["product"]), digit["at"]["text"])
    answer = await client.get(f"/api/studies/{study['id']}/results.parquet")
    table = pq.read_table(io.BytesIO(answer.content))
    assert table.column_names == list(rows[0])
    assert table.num_rows == len(rows)
    assert json.loads(table.schema.metadata[b"statistics"]) == study["statistics"]


async def test_a_table_of_prompts_holds_the_rows_and_the_measures(client: httpx.AsyncClient) -> None:
    study = await made(
        client,
        kind="prompts",
        csv="who,prompt\n=me,cats\n",
        raw=True,
        positions="last",
        measures={"numbers": {"regex": "says"}},
    )
    answer = await client.get(f"/api/studies/{study['id']}/results.csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["row.who"], row["row.prompt"], row["measure.numbers"]) == ("'=me", "cats", "1.0")


async def test_one_at_work_is_shown_cancelled_and_deleted(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    with held(pair.target.hold):
        id = (await client.post("/api/studies", json=SUMS)).json()["id"]
        assert (await client.get(f"/api/studies/{id}")).json()["status"] in ("queued", "running")
        cancelled = await client.post(f"/api/studies/{id}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await client.get(f"/api/studies/{id}")).json()["status"] == "cancelled"
    assert (await events(client, id))[-1][1] == "failed"
    assert (await client.delete(f"/api/studies/{id}")).status_code == 204
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
        assert (await client.request(method, f"/api/studies/{id}{path}")).status_code == 404


async def test_too_many_are_refused_for_the_moment(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    most = app.state.settings.max_studies
    with held(pair.target.hold):
        answers = [await client.post("/api/studies", json={**SUMS, "seed": n}) for n in range(most + 1)]
        assert [answer.status_code for answer in answers] == [202] * most + [429]
        assert "Retry-After" in answers[-1].headers


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"kind": None}, "kind"),
        ({"problems": 0}, "problems"),
        ({"problems": 1001}, "problems"),
        ({"problems": 640}, "problems"),
        ({"problems": "x"}, "problems"),
        ({"factors": [[20, 99]]}, "factors"),
        ({"factors": [[99, 20], [2, 9]]}, "factors"),
        ({"factors": [[0, 99], [2, 9]]}, "factors.0.0"),
        ({"factors": [[20, 10_000], [2, 9]]}, "factors.0.1"),
        ({"factors": [[20, 99, 100], [2, 9]]}, "factors.0"),
        ({"template": "what is {a} times two?"}, "template"),
        ({"template": ""}, "template"),
        ({"template": [{"role": "user"}]}, "template.0.content"),
        ({"template": [{"role": "cat", "content": "{a} {b}"}]}, "template.0.role"),
        ({"edit_alphas": [0]}, "edit_alphas.0"),
        ({"seed": -1}, "seed"),
        ({"verbalise": {"samples": 2}}, "verbalise"),
        ({"verbalise": {"max_new_tokens": 5_000}}, "verbalise.max_new_tokens"),
        ({"pair": "nobody"}, "pair"),
        ({"problms": 3}, "problms"),
    ],
)
async def test_bad_input_names_its_field(
    client: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    refused = await client.post("/api/studies", json=SUMS | change)
    assert field in [error["field"] for error in problem(refused, 422)["errors"]]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, ""),
        ({"prompts": ["a"], "csv": "a"}, ""),
        ({"prompts": ["a"], "measures": {"x": "magic"}}, "measures.x"),
        ({"prompts": ["a"], "measures": {"x": {"regex": "("}}}, "measures.x.regex"),
        ({"prompts": ["a"], "measures": {"x": {"regex": "a", "token": "b"}}}, "measures.x"),
        ({"prompts": ["a"], "positions": "middle"}, "positions"),
        ({"prompts": ["a"], "positions": {"regex": "("}}, "positions.regex"),
        ({"csv": "a\n" + "x\n" * 100_000}, "csv"),
        ({"prompts": ["a"], "generate": {"max_new_tokens": 100_000}}, "generate.max_new_tokens"),
    ],
)
async def test_bad_prompts_name_their_field(
    client: httpx.AsyncClient, request_: dict[str, Any], field: str
) -> None:
    refused = await client.post("/api/studies", json={"kind": "prompts", **request_})
    assert [error["field"] for error in problem(refused, 422)["errors"]] == [field]


async def test_an_address_that_is_none_is_not_found(client: httpx.AsyncClient) -> None:
    for id in ("nothing", "a%00b", "é"):
        assert (await client.get(f"/api/studies/{id}")).status_code == 404


async def test_capitals_and_languages_are_studies_with_tables_and_pages(client: httpx.AsyncClient) -> None:
    capitals = {"France": "Paris", "Spain": "Madrid"}
    study = await made(client, kind="capitals", capitals=capitals, seed=1)
    assert set(study["statistics"]) == {"answers", "country", "last", "edits_country", "edits_last"}
    table = list(
        csv.DictReader(io.StringIO((await client.get(f"/api/studies/{study['id']}/results.csv")).text))
    )
    assert [row["where"] for row in table] == ["country", "last"] * 2
    assert {row["row.capital"] for row in table} == set(capitals.values())
    turns = [{"role": "user", "content": "bonjour", "language": "French"}]
    spoken = await made(client, kind="languages", transcripts=[turns], every=3)
    assert [reading["language"] for reading in spoken["cases"][0]["readings"]] == ["French"] * 3
    rows = (await client.get(f"/api/studies/{spoken['id']}/results.csv")).text.splitlines()
    assert "language" in rows[0] and "measure.French" in rows[0] and len(rows) == 4
    for each in (study, spoken):
        page = await client.get(each["url"])
        assert page.status_code == 200 and each["title"] in page.text
    listed = (await client.get("/studies")).text
    assert "2 countries" in listed and "1 transcript" in listed


@pytest.mark.parametrize(
    ("request_", "field", "said"),
    [
        ({"kind": "capitals", "template": "The capital is"}, "template", "no {country}"),
        ({"kind": "capitals", "capitals": {"France": "Paris"}}, "capitals", "2"),
        ({"kind": "capitals", "countries": 51}, "countries", "50 countries"),
        ({"kind": "languages", "every": 0}, "every", "1"),
        ({"kind": "languages", "transcripts": []}, "transcripts", "1"),
        (
            {
                "kind": "languages",
                "transcripts": [[{"role": "system", "content": "x", "language": "French"}]],
            },
            "transcripts.0.0.role",
            "user",
        ),
    ],
)
async def test_what_cannot_be_asked_of_them_names_its_field(
    client: httpx.AsyncClient, request_: dict[str, Any], field: str, said: str
) -> None:
    answer = await client.post("/api/studies", json=request_)
    problem(answer, 422)
    (error,) = answer.json()["errors"]
    assert error["field"] == field and said in error["detail"]
