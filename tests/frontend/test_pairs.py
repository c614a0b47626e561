"""The pages of pairs, and their JSON: which there are, and what their cards say."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from bs4 import BeautifulSoup

from frontend.layout import ModelsContext
from frontend.pairs.page import pair_page
from server.app import create_app
from server.nla.checkpoints import demo
from server.nla.checkpoints.card import Certainty, ClaimShare, KindScore, Measured, PairCard
from server.pairs.about import AboutPair
from server.settings import Settings
from tests.conftest import client_of
from tests.fakes import FakePair, FakeSource
from tests.frontend.parsed import one, words

pytestmark = pytest.mark.anyio
MODELS = ModelsContext("fake", "ready", "resident")
FOUND = Measured(
    how="`python -m something`; a machine",
    positions=1200,
    texts=90,
    variance=0.5,
    fve=-0.02,
    fve_interval=(-0.1, 0.05),
    nearest=0.5,
    kinds=(KindScore(kind="code", positions=40, texts=1, fve=-0.12, interval=(-0.3, 0.1)),),
    claims=(ClaimShare(claim="final token", right=0.9, interval=(0.85, 0.95), control=0.004, adds_fve=0.3),),
    certainty=(Certainty(word="comes", readings=1, right=1.0, interval=(1.0, 1.0)),),
)


def about(card: PairCard | None = None, **fields: object) -> AboutPair:
    given = {"name": "mine", "target_path": "/models/t/", "av_path": None, "ar_path": None, "layer": 20}
    given |= {"d_model": 1536, "configured": False, "resident": False, "card": card}
    return AboutPair.model_validate(given | fields)


async def soup(client: httpx.AsyncClient, path: str) -> BeautifulSoup:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser")


async def test_the_head_of_every_page_leads_to_the_pair(client: httpx.AsyncClient) -> None:
    link = one(await soup(client, "/"), ".models a.pair")
    page = await soup(client, str(link["href"]))
    assert words(one(page, "h1")) == words(link)
    assert "Nobody has said here how this pair was made" in words(one(page, "article"))
    listed = await soup(client, "/pairs")
    names = [words(title) for title in listed.select(".listing .title")]
    assert names[0] == words(link) and "elsewhere" in names
    assert words(one(listed, ".listing li .state")) == "resident"


async def test_a_pair_that_is_not_there_is_said_with_those_that_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/pairs/none%2Fsuch")
    assert answer.status_code == 404
    missing = (await client.get("/api/pairs/no-such")).json()
    assert missing["detail"].startswith("There is no pair named 'no-such'. Known are: ")
    assert (await client.get("/pairs/no-such")).status_code == 404


async def test_the_demos_page_shows_what_was_measured_of_it(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), FakeSource(FakePair(name=demo.NAME)))
    async with app.router.lifespan_context(app), client_of(app) as client:
        page = await soup(client, f"/pairs/{demo.NAME}")
        card = (await client.get(f"/api/pairs/{demo.NAME}")).json()["card"]
        assert [words(item) for item in page.select(".points li")] == card["fails"]
        assert card["readings"].replace("\u202f", " ") in words(one(page, ".trust")).replace("\u202f", " ")
        bars = page.select('[aria-labelledby="claims"] li')
        assert len(bars) == len(card["measured"]["claims"]) == 3
        share = round(100 * card["measured"]["claims"][0]["right"])
        assert words(one(bars[0], "strong")).replace("\u202f", " ") == f"{share} %"
        assert card["measured"]["how"].replace("`", "") in words(one(page, "footer"))


def test_what_is_below_nothing_is_said_as_it_is_and_drawn_at_the_edge() -> None:
    page = pair_page(about(PairCard(measured=FOUND)), MODELS)
    claims, certainty, kinds = page.figures
    (kind,) = kinds.bars
    assert (kind.value, kind.words, kind.width, kind.interval) == ("−0.12", "−0.30 to 0.10", 0.0, (0.0, 10.0))
    assert kind.n == "40 positions of 1 text"
    (claim,) = claims.bars
    assert claim.words.replace("\u202f", " ") == "85 to 95 %; of another position 0.4 %"
    assert (claim.width, claim.null_at, claim.n) == (90.0, 0.4, "adds 0.30 to FVE")
    assert certainty.bars[0].n == "1 reading"
    assert (
        "1,200 positions of 90 texts" in page.measured
        and "FVE −0.02 (−0.10 to 0.05), against V = 0.5000" in page.measured
    )
    assert page.how == "python -m something; a machine"


def test_a_folder_is_named_without_its_place_and_a_hub_in_full() -> None:
    sources = {"target": "/models/t/", "av": "me/my-av@main", "ar": "/gone/ar"}
    page = pair_page(about(sources=sources, gigabytes={"target": 15, "av": 15, "ar": 10}), MODELS)
    assert [(p.source, p.size, p.here) for p in page.parts] == [
        ("t", "15 GB", "on disk"),
        ("me/my-av@main", "15 GB", "not here yet"),
        ("ar", "10 GB", "not here yet"),
    ]
    assert page.facts[-1] == "not offered by this server"
