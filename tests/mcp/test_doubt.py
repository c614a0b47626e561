"""The tools that doubt readings, make vectors and start studies say what the JSON API says, in fewer words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mcp import Client

from server.mcp.answers import LIMIT
from tests.api.test_analyses import done
from tests.fakes import FakePair
from tests.mcp.asking import call, refusal
from tests.mcp.test_tools import near

pytestmark = pytest.mark.anyio
TEXT = "cats purr. dogs bark."


@pytest.fixture
async def known(app: FastAPI, client: httpx.AsyncClient) -> dict[str, Any]:
    """A finished analysis with two readings of each token, by the JSON API."""
    return await done(app, client, {"text": TEXT, "verbalise": {"samples": 2}})


async def test_agreement(
    asker: Client, client: httpx.AsyncClient, address: str, known: dict[str, Any]
) -> None:
    api = (await client.get(f"/api/analyses/{known['id']}/agreement")).json()
    found = await call(asker, "agreement", analysis=known["id"])
    assert found["total"] == len(api["positions"]) == len(TEXT)
    for row, same in zip(found["positions"], api["positions"], strict=False):
        for name in ("cos", "cos_other", "recurring", "recurring_other"):
            assert row.get(name) == near(same[name])
        assert row["best_score"] == near(same["best"]["score"])
        assert row["permalink"] == f"{address}/a/{known['id']}?t={row['position']}"
    assert found["summary"]["cos"] == near(api["summary"]["cos"])
    one = await call(asker, "agreement", analysis=known["id"], position=3)
    assert [row["position"] for row in one["positions"]] == [3]
    assert "There is no analysis" in await refusal(asker, "agreement", analysis="none")


async def test_form_test(asker: Client, client: httpx.AsyncClient, known: dict[str, Any]) -> None:
    found = await call(
        asker, "form_test", analysis=known["id"], kind="given", positions=[2], texts=["about dogs"]
    )
    api = (await client.get(f"/api/tests/{found['id']}")).json()
    assert found["status"] == "done"
    for row, same in zip(found["forms"], api["results"], strict=True):
        assert (row["form"], row["text"]) == (same["label"], same["text"])
        assert row.get("causal") == near(same["causal"]) and row.get("fve") == near(same["fve"])
    for row, same in zip(found["losses"], api["summary"]["losses"], strict=True):
        assert (row["form"], row["lost"]) == (same["kind"], near(same["lost"]))
    said = await refusal(asker, "form_test", analysis=known["id"], kind="given", texts=["x"])
    assert said.startswith("positions: ")


async def test_a_vector_is_made_read_and_patched(
    asker: Client, client: httpx.AsyncClient, address: str, known: dict[str, Any]
) -> None:
    terms = [{"analysis": known["id"], "position": p, "weight": w} for p, w in ((3, 1), (1, -1))]
    made = await call(asker, "make_vector", terms=terms)
    api = (await client.get(f"/api/vectors/{made['id']}")).json()
    assert (made["name"], made["norm"]) == (api["name"], near(api["norm"]))
    assert made["permalink"] == f"{address}/v/{made['id']}" and made["existed"] is False
    assert [(t["token"], t["weight"], t["cos"]) for t in made["terms"]] == [
        (s["token"], s["weight"], near(s["cos"])) for s in api["sum"]
    ]
    read = await call(asker, "read_vector", vector=made["id"], verbalise={"samples": 2})
    (same,) = (await client.get(f"/api/vectors/{made['id']}/readings")).json()
    assert (read["id"], read["existed"]) == (same["id"], False)
    for row, reading in zip(read["readings"], same["readings"], strict=True):
        assert (row["text"], row["cos"]) == (reading["text"], near(reading["cos"]))
        assert row["above"] == f"{reading['above']} of {same['others']['n']}"
    assert read["others"]["interval"] == near(same["others"]["interval"])
    again = await call(asker, "read_vector", vector=made["id"], verbalise={"samples": 2})
    assert again == read | {"existed": True}
    edit = await call(asker, "edit_and_patch", analysis=known["id"], position=3, vector=made["id"])
    assert edit["kl"] > 0 and edit["after"]["first_choices"]
    said = await refusal(asker, "edit_and_patch", analysis=known["id"], position=3)
    assert said.startswith("text: ")
    assert "There is no vector" in await refusal(asker, "read_vector", vector="none")
    far = [{"analysis": known["id"], "position": 99}]
    assert (await refusal(asker, "make_vector", terms=far)).startswith("sum.0.position: ")


async def test_a_study_is_started_waited_for_and_told_with_its_nulls(
    asker: Client, client: httpx.AsyncClient, address: str, pair: FakePair
) -> None:
    asked = {
        "kind": "prompts",
        "raw": True,
        "template": "{word} purr",
        "rows": [{"word": word} for word in ("cats", "dogs", "mice", "owls")],
        "measures": {"said": {"token": "{word}"}, "held": "fve"},
    }
    pair.verbaliser.limit(0)
    begun = await call(asker, "start_study", declaration=asked, wait_seconds=0)
    assert (begun["done"], begun["cases"], "goes on" in begun["note"]) == (0, 4, True)
    pair.verbaliser.allow()
    found = await call(asker, "study", study=begun["id"], wait_seconds=60)
    api = (await client.get(f"/api/studies/{begun['id']}")).json()
    assert (found["status"], found["done"], found["id"]) == ("done", 4, begun["id"])
    assert found["permalink"] == f"{address}/s/{begun['id']}"
    every = {(g, n): s for g, each in api["statistics"].items() for n, s in each.items()}
    rows = {(row["group"], row["name"]): row for row in found["figures"]}
    assert rows.keys() == every.keys() and every
    for place, row in rows.items():
        same = every[place]
        null = same["null"] or {"value": None, "interval": None}
        assert (row.get("value"), row.get("null")) == (near(same["value"]), near(null["value"]))
        assert row.get("p") == near(same["p_corrected"]) and row["n"] == same["n"]
    assert len(str(found)) < LIMIT
    bare, all_ = [await call(asker, "list_analyses", studies=studies) for studies in (False, True)]
    assert {case["analysis"] for case in api["cases"]} == {line["id"] for line in all_["analyses"]} and bare[
        "total"
    ] == 0
    assert (all_["total"], all_["permalink"]) == (4, f"{address}/library?studies=1")
    wrong = await refusal(asker, "start_study", declaration={"kind": "multiplication", "problems": 0})
    assert "problems: " in wrong
    assert "There is no study" in await refusal(asker, "study", study="none")
