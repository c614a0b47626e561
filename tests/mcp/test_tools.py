"""Each tool says what the JSON API says, in fewer words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mcp import Client

from tests.api.test_analyses import done
from tests.fakes import FakePair
from tests.mcp.asking import call

pytestmark = pytest.mark.anyio
CHAT = {"messages": [{"role": "user", "content": "cats purr"}]}


def near(value: Any) -> Any:
    """Equal to four significant digits."""
    return value if value is None else pytest.approx(value, rel=1e-3, abs=1e-9)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.fixture
async def known(app: FastAPI, client: httpx.AsyncClient) -> dict[str, Any]:
    """A finished analysis, by the JSON API."""
    return await done(app, client, CHAT | {"generate": {"max_new_tokens": 4}})


async def test_analyse(asker: Client, client: httpx.AsyncClient, pair: FakePair) -> None:
    asked = {"generate": {"max_new_tokens": 4}, "verbalise": {"samples": 2}}
    found = await call(asker, "analyse", system="be kind", **CHAT, **asked)
    assert (found["status"], found["existed"], found["reply"]) == ("done", False, "Yes,")
    same = await client.get(f"/api/analyses/{found['id']}")
    api = same.json()
    assert api["request"]["messages"][0] == {"role": "system", "content": "be kind"}
    assert (found["pair"], found["layer"], found["read"]) == (api["pair"], api["layer"], len(api["readings"]))
    content = [t["position"] for t in api["tokens"] if t["position"] > 0 and not t["special"]]
    readings = [r for r in api["readings"] if r["position"] in content]
    scores, null = found["scores"], api["baselines"]
    assert scores["n"] == len(readings) == 2 * len(content)
    assert scores["readings"]["fve"] == near(mean([r["fve"] for r in readings]))
    for name in ("shuffled", "mean"):
        assert scores[name] == {k: near(null[f"{name}_{k}"]) for k in ("fve", "cos")}
    assert (scores["nearest"], scores["nearest_of"]) == (near(null["nearest"]), null["nearest_of"])
    for row, token in zip(found["tokens"], api["tokens"], strict=True):
        fves = [r["fve"] for r in api["readings"] if r["position"] == token["position"]]
        speaker = "template" if token["special"] else token["role"]
        assert row == [token["position"], token["text"], speaker, near(mean(fves))]
    traced = len(pair.target.traced)
    again = await call(asker, "analyse", system="be kind", **CHAT, **asked)
    assert (again["id"], again["existed"], len(pair.target.traced)) == (found["id"], True, traced)


async def test_analyse_some_positions_of_raw_text(asker: Client, client: httpx.AsyncClient) -> None:
    found = await call(asker, "analyse", text="[1, 2]", positions=[1, 2])
    assert [row[3] for row in found["tokens"]] == [None, 1.0, 1.0, None, None, None]
    generated = await call(
        asker, "analyse", text="cats", positions="generated", generate={"max_new_tokens": 2}
    )
    assert generated["read"] == 2


async def test_list_analyses(
    asker: Client, app: FastAPI, client: httpx.AsyncClient, known: dict[str, Any]
) -> None:
    await done(app, client, {"text": "dogs bark"})
    api = (await client.get("/api/analyses")).json()
    found = await call(asker, "list_analyses")
    assert found["total"] == 2
    for line, entry in zip(found["analyses"], api, strict=True):
        assert {k: line[k] for k in ("id", "title", "pair", "status", "tokens", "readings")} == {
            k: entry[k] for k in ("id", "title", "pair", "status", "tokens", "readings")
        }
    first = await call(asker, "list_analyses", limit=1)
    assert first["before"] == first["analyses"][0]["id"] == api[0]["id"]
    second = await call(asker, "list_analyses", limit=1, before=first["before"])
    assert [line["id"] for line in second["analyses"]] == [api[1]["id"]] and "before" not in second
    searched = await call(asker, "list_analyses", query="purr")
    assert [line["id"] for line in searched["analyses"]] == [known["id"]]
    assert searched["permalink"].endswith("/library?q=purr")


async def test_read_positions(
    asker: Client, address: str, client: httpx.AsyncClient, known: dict[str, Any]
) -> None:
    before = await call(asker, "read_positions", analysis=known["id"], positions=[5, 3])
    assert [place["position"] for place in before["places"]] == [3, 5]
    assert "causal" not in before["places"][0]["readings"][0]
    await call(asker, "causal_scores", analysis=known["id"])
    (measured,) = (await client.get(f"/api/analyses/{known['id']}/measurements")).json()
    found = await call(asker, "read_positions", analysis=known["id"], start=3, end=6)
    assert found["shuffled"]["fve"] == near(known["baselines"]["shuffled_fve"])
    assert found["mean"]["cos"] == near(known["baselines"]["mean_cos"])
    for place, position in zip(found["places"], range(3, 7), strict=True):
        token = known["tokens"][position]
        (api,) = [r for r in known["readings"] if r["position"] == position]
        (said,) = place["readings"]
        assert (place["token"], place["flags"]) == (token["text"], token["flags"])
        assert place["permalink"] == f"{address}/a/{known['id']}?t={position}"
        assert (said["text"], said["fve"], said["cos"]) == (api["text"], near(api["fve"]), near(api["cos"]))
        assert said["rank"] == f"{api['rank']} of {api['rank_of']}"
        (score,) = [s for s in measured["scores"] if s["position"] == position]
        causal = said["causal"]
        assert (causal["score"], causal["kl"]) == (near(score["score"]), near(score["reading"]["kl"]))
        for name in ("other", "shuffled", "mean", "random"):
            assert causal[f"kl_{name}"] == near(score[name]["kl"])
        assert causal["kept"] == score["reading"]["kept"]


async def test_find_in_readings(asker: Client, known: dict[str, Any]) -> None:
    wanted = known["readings"][4]["text"].split()[3]
    found = await call(asker, "find_in_readings", analysis=known["id"], words=wanted)
    api = [r["position"] for r in known["readings"] if wanted in r["text"]]
    assert [match["position"] for match in found["matches"]] == api
    assert found["readings"] == len(known["readings"]) and wanted in found["matches"][0]["excerpt"]
    assert not any(match["said_before"] for match in found["matches"]) and "first_said_at" not in found
    everywhere = await call(asker, "find_in_readings", analysis=known["id"], words="SAMPLE 0")
    assert everywhere["total"] == len(known["readings"])


async def test_words_that_the_text_says_itself_are_marked(asker: Client) -> None:
    made = await call(asker, "analyse", text="it says so")
    found = await call(asker, "find_in_readings", analysis=made["id"], words="Says")
    assert found["first_said_at"] == 6  # with the last letter of "says"
    assert [match["said_before"] for match in found["matches"]] == [False] * 6 + [True] * 4


async def test_lens_of_word_at_positions(
    asker: Client, client: httpx.AsyncClient, known: dict[str, Any]
) -> None:
    words = ["cat", " dog"]
    found = await call(asker, "lens_of_word", analysis=known["id"], word=words, positions=[3, 5])
    assert [at["position"] for at in found["at"]] == [3, 5]
    params = {"position": 5, "word": words, "variant": "likelier"}
    api = (await client.get(f"/api/analyses/{known['id']}/lens", params=params)).json()
    assert found["layers"] == api["layers"]
    for curve, same in zip(found["at"][1]["words"], api["words"], strict=True):
        assert (curve["word"], curve["first_token"], curve["tokens"]) == (
            same["word"],
            same["token"],
            same["count"],
        )
        assert (curve["prob"], curve["rank"]) == (near(same["prob"]), same["rank"])
        assert (curve["output_prob"], curve["output_rank"]) == (near(same["prob"][-1]), same["rank"][-1])


async def test_lens_of_word_over_the_text(asker: Client, known: dict[str, Any]) -> None:
    lens = known["lens"]
    found = await call(asker, "lens_of_word", analysis=known["id"], word="A")
    cells = {
        (position, layer): {text: prob for _, text, prob in cell}
        for layer, row in enumerate(lens["top"])
        for position, cell in enumerate(row)
    }
    expected = sorted({position for (position, _), cell in cells.items() if "A" in cell})
    assert expected and [seen["position"] for seen in found["seen"]] == expected
    for seen in found["seen"]:
        probs = {n: c["A"] for (p, n), c in cells.items() if p == seen["position"] and "A" in c}
        assert (seen["layers"], seen["first_layer"]) == (len(probs), min(probs))
        assert seen["prob"] == near(max(probs.values())) and probs[seen["best_layer"]] == max(probs.values())


async def test_edit_and_patch(asker: Client, client: httpx.AsyncClient, known: dict[str, Any]) -> None:
    edit = {"position": 3, "text": "about dogs", "mode": "steer", "alpha": 0.7, "targets": ["A", " B"]}
    found = await call(asker, "edit_and_patch", analysis=known["id"], **edit)
    api = (await client.get(f"/api/analyses/{known['id']}/interventions/{found['id']}")).json()
    assert api["request"] | edit == api["request"]
    assert (found["kl"], found["cos_original"]) == (near(api["kl"]), near(api["cos_original"]))
    assert found["words_hold"] == {name: near(api["score"][name]) for name in ("fve", "cos")}
    assert found["original"] == api["original"]
    for name in ("before", "after"):
        assert found[name]["text"] == api[name]["text"]
        assert found[name]["first_choices"] == [[t, near(p)] for _, t, p in api[name]["top"][:3]]
        for word, target in zip(found[name]["targets"], api[name]["targets"], strict=True):
            assert word == {"word": target["text"], "prob": near(target["prob"]), "rank": target["rank"]}
    for control, same in zip(found["controls"], api["controls"], strict=True):
        assert (control["kind"], control["n"], control["moved_as_far"]) == (
            same["kind"],
            same["n"],
            same["above"],
        )
        assert (control["kl"], control["target_probs"]) == (near(same["kl"]), near(same["probs"]))
    verdict = api["verdict"]
    assert found["verdict"]["changed"] == verdict["changed"]
    assert found["verdict"]["p"] == near((verdict["above"] + 1) / (verdict["others"] + 1))
    assert found["tries"] == 1
    other = await call(asker, "edit_and_patch", analysis=known["id"], position=3, text="about owls")
    assert other["tries"] == 2 and "verdict" not in other


async def test_causal_scores(asker: Client, client: httpx.AsyncClient, known: dict[str, Any]) -> None:
    found = await call(asker, "causal_scores", analysis=known["id"], horizon=2, tokens=3)
    api = (await client.get(f"/api/analyses/{known['id']}/measurements/{found['id']}")).json()
    for where in ("content", "left_out"):
        for name in ("reading", "other", "shuffled", "mean", "random"):
            effects, same = found[where][name], api[where][name]
            assert (effects["n"], effects["kl"]) == (same["n"], near(same["kl"]))
            assert effects["score"] == near(same["score"])
            assert (effects["kept"], effects["score_after"]) == (near(same["kept"]), near(same["after"]))
    special = {t["position"] for t in known["tokens"] if t["special"] or t["position"] == 0}
    ranked = sorted(s["score"] for s in api["scores"] if s["position"] not in special)
    assert [token["causal"]["score"] for token in found["lowest"]] == near(ranked[:3])
    assert [token["causal"]["score"] for token in found["highest"]] == near(ranked[::-1][:3])


async def test_compare(
    asker: Client, address: str, app: FastAPI, client: httpx.AsyncClient, known: dict[str, Any]
) -> None:
    chat = {"messages": [{"role": "user", "content": "cats purr and dream"}]}
    other = await done(app, client, chat)
    found = await call(asker, "compare", a=known["id"], b=other["id"], position_a=3, position_b=3, sample_b=0)
    assert found["shared_prefix"] == 10  # the template's first, and "cats purr"
    assert found["compared"] == 0  # what both have has the same activations in both
    lacking = [(part["speaker"], part["text"]) for part in found["b"]["lacking_in_other"]]
    assert lacking == [("user", " and dream")]
    reply = [(part["speaker"], part["text"]) for part in found["a"]["lacking_in_other"]]
    assert reply == [("assistant", "Yes,")]
    assert found["at_a"]["reading"]["text"] == known["readings"][3]["text"]
    assert found["permalink"] == f"{address}/compare?a={known['id']}&b={other['id']}&sa=1&sb=1&t=3&u=3"


async def test_compare_names_where_the_scores_differ(
    asker: Client, app: FastAPI, client: httpx.AsyncClient
) -> None:
    one = await done(app, client, {"text": "x the cats purr"})
    cut = {"max_new_tokens": 8}  # such a reading has lost some of its numbers
    two = await done(app, client, {"text": "y the cats purr", "verbalise": cut})
    found = await call(asker, "compare", a=one["id"], b=two["id"])
    assert (found["shared_prefix"], found["same"], found["compared"]) == (0, 14, 14)
    fves = [{r["position"]: r["fve"] for r in side["readings"]} for side in (one, two)]
    gaps = [fves[0][p] - fves[1][p] for p in range(1, 15)]
    assert found["difference"] == near(mean(gaps)) and found["difference"] > 0.5
    assert found["a"]["fve"] - found["b"]["fve"] == near(mean(gaps))
    low, high = found["interval"]
    assert low <= found["difference"] <= high and len(found["largest"]) == 8


async def test_pairs(asker: Client, client: httpx.AsyncClient) -> None:
    found = (await call(asker, "pairs"))["pairs"]
    for pair, same in zip(found, (await client.get("/api/pairs")).json(), strict=True):
        assert pair == {k: same[k] for k in pair}
