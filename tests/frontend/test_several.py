"""The pages over HTTP where there are several pairs."""

from __future__ import annotations

import httpx
import pytest
from bs4 import BeautifulSoup

from server.settings import Settings
from tests.fakes import FakePair, FakeSource
from tests.frontend.parsed import one, words
from tests.frontend.test_routes import FORM, HTML, finished

pytestmark = pytest.mark.anyio


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(FakePair(), FakePair(name="deep", layer=2), FakePair(name="foreign", reads="another"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"extra_pairs": "deep,foreign"})


async def sent(client: httpx.AsyncClient, **fields: str | list[str]) -> httpx.Response:
    return await client.post("/", data=FORM | fields, headers=HTML)


async def test_the_form_offers_pairs_and_which_can_read_along(client: httpx.AsyncClient) -> None:
    soup = BeautifulSoup((await client.get("/", headers=HTML)).text, "html.parser")
    pairs = [option["value"] for option in soup.select("[name=pair] option")]
    along = [box["value"] for box in soup.select("[name=also]")]
    assert (pairs, along) == (["fake", "deep", "foreign"], ["fake", "deep"])


async def test_every_ticked_layer_is_read_and_shown_at_the_pinned_token(client: httpx.AsyncClient) -> None:
    answer = await sent(client, pair="fake", also=["fake", "deep"])
    assert answer.status_code == 303
    address = answer.headers["location"]
    await finished(client, address)
    (sibling,) = (await client.get(f"/api/analyses/{address.removeprefix('/a/')}")).json()["siblings"]
    assert sibling["pair"] == "deep"
    await finished(client, sibling["url"])
    soup = BeautifulSoup((await client.get(f"{address}?t=3")).text, "html.parser")
    assert "sample 0 says" in words(one(soup, "#beside-3 blockquote"))
    part = BeautifulSoup((await client.get(f"{address}/beside?t=3")).text, "html.parser")
    assert words(one(part, "#beside-3")) == words(one(soup, "#beside-3"))
    again = BeautifulSoup((await client.get(f"/?from={sibling['id']}")).text, "html.parser")
    assert one(again, "[name=pair] option[selected]")["value"] == "deep"
    assert [box["value"] for box in again.select("[name=also][checked]")] == ["fake"]


async def test_a_pair_of_another_target_is_refused_beside_its_box(client: httpx.AsyncClient) -> None:
    answer = await sent(client, pair="foreign", also="deep")
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    assert words(one(soup, "#error-also")).startswith("deep cannot read along with foreign")
    assert one(soup, "[name=also][checked]")["value"] == "deep"


async def test_there_is_no_part_before_the_tokens(client: httpx.AsyncClient) -> None:
    assert (await client.get("/a/nothing/beside?t=3")).status_code == 404
