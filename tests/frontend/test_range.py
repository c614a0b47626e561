"""A range of tokens: what its readings hold, and what can be made of it."""

from __future__ import annotations

import httpx
import pytest

from frontend.analysis.token_range import range_context
from frontend.analysis.view import View
from server.errors import BadInput
from tests.frontend import made
from tests.frontend.parsed import one, words
from tests.frontend.test_routes import finished, send
from tests.frontend.test_vectors import page, post


def test_scores_are_beside_those_of_the_rest_and_over_content_alone() -> None:
    view = View(made.analysis())
    content = {t.position for t in view.analysis.tokens if t.content}
    fves = {r.position: r.fve for r in view.analysis.readings if r.position in content and r.sample == 0}
    first, last = sorted(fves)[0], sorted(fves)[2]
    inside = [fve for p, fve in fves.items() if first <= p <= last]
    outside = [fve for p, fve in fves.items() if not first <= p <= last]
    found = range_context(view, first, last)
    for part in (inside, outside):
        known = [fve for fve in part if fve is not None]
        assert f"{100 * sum(known) / len(known):.0f}\u202f%" in found.held
        assert f"(of {len(known)})" in found.held


def test_words_that_most_readings_of_the_range_have_are_named() -> None:
    texts = {
        0: "a zebra eats",
        1: "the zebra and grass",
        2: "a zebra on grass",
        3: "nothing at all",
        4: "a cat",
    }
    readings = [made.reading(p).model_copy(update={"text": text}) for p, text in texts.items()]
    view = View(made.analysis(readings=readings))
    assert range_context(view, 0, 2).recurring[:2] == [
        ("zebra", "3 of 3", "0 of 2"),
        ("grass", "2 of 3", "0 of 2"),
    ]
    assert range_context(view, 3, 4).recurring == []


@pytest.mark.parametrize(("first", "last"), [(3, 2), (0, 999), (-1, 2)])
def test_a_range_of_no_tokens_is_refused(first: int, last: int) -> None:
    with pytest.raises(BadInput):
        range_context(View(made.analysis()), first, last)


@pytest.mark.anyio
async def test_a_mean_is_kept_and_the_range_is_read_several_times(client: httpx.AsyncClient) -> None:
    address = str((await send(client)).headers["location"])
    await finished(client, address)
    soup = await page(client, f"{address}/range?first=2&last=4")
    assert words(one(soup, "h2")) == "3 tokens, 2 to 4"
    mean, again = soup.select("form")
    fields = {str(i["name"]): str(i["value"]) for i in mean.select("input")}
    kept = await post(client, str(mean["action"]), **fields)
    vector = (await client.get(f"/api/vectors/{kept.headers['location'].rpartition('/')[2]}")).json()
    assert [(s["position"], round(s["weight"], 6)) for s in vector["sum"]] == [
        (p, 0.333333) for p in (2, 3, 4)
    ]
    more = await post(client, str(again["action"]))
    asked = (await client.get(f"/api/analyses/{more.headers['location'][3:].partition('?')[0]}")).json()
    assert asked["request"]["positions"] == [2, 3, 4]
    assert asked["request"]["verbalise"]["samples"] == 8
    assert (await client.get(f"{address}/range?first=2&last=99")).status_code == 422
    assert (await client.post(f"{address}/samples?t=4&last=2")).status_code == 422
