"""The agreement of a token's readings on the page."""

from __future__ import annotations

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend import templating
from frontend.agreement.agreement import agreement_context, refused
from server.measurements.agreement_schema import BestOf, Claim, PositionAgreement
from tests.api.test_analyses import done

FOUND = PositionAgreement(
    position=7, samples=4, cos=0.9, cos_other=0.4, recurring=0.62, recurring_other=0.08, score=0.42,
    claims=[Claim(text="It is <b>news</b>.", samples=[0, 2, 3])], best=BestOf(sample=2, score=0.55), averaged=0.5,
)  # fmt: skip


def shown(found: PositionAgreement) -> BeautifulSoup:
    html = templating.fragment("agreement/agreement.agreement", agreement_context(found, fve=True))
    return BeautifulSoup(html, "html.parser")


def test_every_figure_stands_beside_its_null() -> None:
    cosines, claims, best = [p.text for p in shown(FOUND).select("section > p")[:3]]
    assert "0.90 with each other, and of 0.40 with those of other tokens" in cosines
    assert "62\u202f% of the others, and by 8\u202f% of other tokens" in claims
    assert "The best, reading 3, scores 55\u202f%; it was chosen by that score" in best


def test_claims_are_escaped_and_say_which_readings_make_them() -> None:
    (row,) = shown(FOUND).tbody("tr")
    assert row.get_text(" ", strip=True) == "It is <b>news</b>. 3 of 4 1, 3, 4"


def test_what_cannot_be_compared_says_why() -> None:
    html = templating.fragment("agreement/agreement.agreement", refused(7, "No token has two."))
    assert "No token has two." in html and "<table" not in html


@pytest.mark.anyio
async def test_a_token_is_read_several_times_and_compared_from_its_panel(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    id = (await done(app, client, {"text": "cats purr"}))["id"]
    page = BeautifulSoup((await client.get(f"/a/{id}?t=3")).text, "html.parser")
    answer = await client.post(page.select_one(".agree form")["action"])
    assert answer.status_code == 303
    again = answer.headers["location"]
    async for _ in app.state.analyses.events(again.removeprefix("/a/").partition("?")[0]):
        pass
    page = BeautifulSoup((await client.get(again)).text, "html.parser")
    assert len(page.select(".sample")) == 8
    link = page.select_one(".agree a")["href"]
    whole = BeautifulSoup((await client.get(link)).text, "html.parser")
    assert whole.h1 is not None and len(whole.select("section.agreement")) == 1
    part = await client.get(link, headers={"HX-Request": "true"})
    assert part.text.lstrip().startswith("<section")


@pytest.mark.anyio
async def test_one_reading_has_nothing_to_agree_with(app: FastAPI, client: httpx.AsyncClient) -> None:
    id = (await done(app, client, {"text": "cats"}))["id"]
    answer = await client.get(f"/a/{id}/agreement?t=2")
    assert answer.status_code == 200 and "has two scored readings" in answer.text
