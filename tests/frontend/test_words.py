"""The page of a word over HTTP, on a fake pair; none of it needs a script."""

from __future__ import annotations

import base64
import csv
import io
import re
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from bs4 import BeautifulSoup

from frontend import made_soon
from frontend.palette import scale
from tests.fakes import LAYERS, FakePair
from tests.frontend.parsed import words
from tests.frontend.test_routes import finished, send

pytestmark = pytest.mark.anyio


@pytest.fixture
async def address(client: httpx.AsyncClient) -> str:
    """A finished analysis."""
    address = (await send(client)).headers["location"]
    await finished(client, address)
    return str(address)


async def page(client: httpx.AsyncClient, address: str, status: int = 200, **asked: str) -> BeautifulSoup:
    answer = await client.get(f"{address}/word?{urlencode(asked)}")
    assert answer.status_code == status, answer.text
    return BeautifulSoup(answer.text, "html.parser")


async def tokens(client: httpx.AsyncClient, address: str) -> list[str]:
    found = (await client.get(f"/api/analyses/{address.removeprefix('/a/')}")).json()
    return [token["text"] for token in found["tokens"]]


async def test_the_map_leads_to_a_form_and_the_form_to_the_word(
    client: httpx.AsyncClient, address: str
) -> None:
    analysis = BeautifulSoup((await client.get(address)).text, "html.parser")
    form = analysis.select_one("#lens form.word-form")
    assert form is not None and form["action"] == f"{address}/word"
    empty = await page(client, address)
    assert empty.select_one("form input[name=word]") is not None
    assert empty.select_one("lens-map") is None
    found = await page(client, address, word="at")
    assert words(found.select_one("h1")) == "·at along the text"  # which the output finds likelier than `at`
    again = await page(client, address)
    assert [words(link) for link in again.select(".choices a")] == ["at"]


async def test_each_token_has_its_row(client: httpx.AsyncClient, address: str, pair: FakePair) -> None:
    text = await tokens(client, address)
    found = await page(client, address, word=" a")
    rows = found.select(".word-table tbody tr")
    assert len(rows) == len(text)
    whole = (0.5 * (len(text) / len(text))) ** 2  # after the last token: a word of two tokens
    cells = [words(cell) for cell in rows[-1].select("td")]
    assert cells[1] == f"{whole * 100:.0f} %"
    assert cells[2:4] == [f"{100 * 0.5 * (LAYERS - 1) / LAYERS:.0f} %", str(LAYERS - 2)]
    link = rows[-1].select_one("th a")
    assert link is not None and link["href"] == f"{address}?t={len(text) - 1}"


async def test_a_reading_that_mentions_it_is_quoted(client: httpx.AsyncClient, address: str) -> None:
    analysis = (await client.get(f"/api/analyses/{address.removeprefix('/a/')}")).json()
    reading = next(r for r in analysis["readings"] if r["position"] == 2)
    word = max(re.findall(r"\w+", reading["text"]), key=len)
    found = await page(client, address, word=word)
    row = found.select(".word-table tbody tr")[2]
    assert words(row.select_one("mark")).casefold() == word.casefold()
    facts = " ".join(words(fact) for fact in found.select(".word-facts li"))
    assert "There are no readings of other texts yet" in facts


async def test_the_maps_numbers_are_the_words_own(client: httpx.AsyncClient, address: str) -> None:
    text = await tokens(client, address)
    found = await page(client, address, word=" a", metric="prob")
    source = found.select_one("lens-map")["source"]  # type: ignore[index]
    data = (await client.get(str(source))).json()
    share = np.frombuffer(base64.b64decode(data["cells"]), np.uint8).reshape(LAYERS, len(text)) / 255
    layers, places = np.arange(1, LAYERS + 1)[:, None], np.arange(1, len(text) + 1)[None]
    expected = 0.5 * layers * places / (LAYERS * len(text))
    expected[-1] **= 2
    np.testing.assert_allclose(share, expected, atol=1 / 255)
    ranks = (await client.get(f"{address}/word/cells?word=+a&metric=rank")).json()
    share = np.frombuffer(base64.b64decode(ranks["cells"]), np.uint8).reshape(LAYERS, len(text)) / 255
    np.testing.assert_allclose(share[0], 1 - np.log(np.arange(1, len(text) + 1)) / np.log(1e5), atol=1 / 255)
    cell = await client.get(f"{address}/word/cell?word=+a&t=1&layer=0")
    assert "rank" in cell.text and "layer 0" in cell.text


async def test_the_drawing_stands_by_itself(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.get(f"{address}/word.svg?word=+a&metric=prob")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "word.svg" in answer.headers["content-disposition"]
    drawing = ElementTree.fromstring(answer.text)
    space = "{http://www.w3.org/2000/svg}"
    paths = drawing.findall(f"{space}path")
    assert {path.get("fill") for path in paths} <= set(scale())
    count = len(await tokens(client, address))
    labels = [text for text in drawing.iter(f"{space}text") if "rotate" in (text.get("transform") or "")]
    assert len(labels) == count
    assert f"{address}/word?word=+a&metric=prob" in answer.text.replace("&amp;", "&")


async def test_the_table_file_is_linked(client: httpx.AsyncClient, address: str) -> None:
    found = await page(client, address, word="a")
    (link,) = [a for a in found.select(".word-files a") if words(a) == "CSV"]
    rows = list(csv.DictReader(io.StringIO((await client.get(str(link["href"]))).text)))
    assert {row["word"] for row in rows} == {"a", " a"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"word": "x" * 101}, "up to 100 characters"),
        ({"word": "a", "metric": "odd"}, "There is no metric"),
        ({"word": "a", "variant": "odd"}, "There is no variant"),
        ({"word": "a", "lens": "odd"}, "There is no lens"),
        ({"word": "a", "lens": "tuned"}, "has no tuned lens"),
    ],
)
async def test_what_cannot_be_shown_is_said(
    asked: dict[str, str], said: str, client: httpx.AsyncClient, address: str
) -> None:
    found = await page(client, address, 422, **asked)
    assert said in found.get_text()


@pytest.mark.parametrize("where", ["word/cells?word=", "word.svg?word=", "word/cell?word=a&t=9999&layer=0"])
async def test_numbers_of_nothing_are_refused(where: str, client: httpx.AsyncClient, address: str) -> None:
    assert (await client.get(f"{address}/{where}")).status_code == 422


async def test_odd_words_do_no_harm(client: httpx.AsyncClient, address: str) -> None:
    evil = "<script>alert(1)</script>\u202e"
    found = await page(client, address, word=evil)
    assert found.select_one("#word script") is None
    answer = await client.get(f"{address}/word.svg?{urlencode({'word': evil})}")
    assert "<script>" not in answer.text
    ElementTree.fromstring(answer.text)


async def test_a_word_that_takes_long_shows_how_far_it_is(
    client: httpx.AsyncClient, address: str, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_soon, "SOON", 0.05)
    pair.target.hold.clear()
    pending = await page(client, address, word="at")
    section = pending.select_one(".word-pending")
    assert section is not None and section["hx-get"] == f"{address}/word?word=at"
    assert (await client.get(f"{address}/word/cells?word=at")).status_code == 409
    form = section.select_one("form")
    assert form is not None
    gone = await client.post(str(form["action"]))
    assert gone.headers["location"] == f"{address}/word"
    pair.target.hold.set()
    monkeypatch.undo()
    found = await page(client, address, word="at")
    assert found.select_one("lens-map") is not None
