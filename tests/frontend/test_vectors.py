"""The pages of vectors over HTTP, on a fake pair; none of it needs a script."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI
from safetensors.numpy import save

from frontend import made_soon
from server.analyses.schema import Verbalise
from tests.fakes import D, FakePair, text_of
from tests.frontend.parsed import one, words
from tests.frontend.test_edit_routes import EDIT, SCRIPTED
from tests.frontend.test_routes import finished, send

pytestmark = pytest.mark.anyio
EVIL = "<script>alert(1)</script>\u202e"
FORM = {"content-type": "application/x-www-form-urlencoded"}
V = np.arange(1, D + 1, dtype=np.float32)


@pytest.fixture
async def address(client: httpx.AsyncClient) -> str:
    """A finished analysis."""
    address = (await send(client)).headers["location"]
    await finished(client, address)
    return str(address)


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await client.post(path, content=urlencode(fields), headers=FORM)


def parsed(answer: httpx.Response, status: int = 200) -> BeautifulSoup:
    assert answer.status_code == status, answer.text
    return BeautifulSoup(answer.text, "html.parser")


async def page(client: httpx.AsyncClient, path: str) -> BeautifulSoup:
    return parsed(await client.get(path))


async def kept(client: httpx.AsyncClient, name: str = "mine") -> str:
    """The page of a vector that was sent."""
    found = await client.post("/api/vectors", json={"name": name, "values": V.tolist()})
    return str(found.json()["url"])


async def test_the_panel_keeps_an_activation(client: httpx.AsyncClient, address: str) -> None:
    form = one(await page(client, f"{address}?t=3"), "#keep-3 form")
    assert form["action"] == f"{address}/vector?t=3"
    answer = await post(client, str(form["action"]), less="1", name="")
    assert answer.status_code == 303
    soup = await page(client, answer.headers["location"])
    links = [link["href"] for link in soup.select(".sources a")]
    assert links == [f"{address}?t=3", f"{address}?t=1"]
    assert [words(row.select("td")[0]) for row in soup.select(".sources tbody tr")] == ["+1", "−1"]
    facts = [words(fact) for fact in soup.select(".facts span")]
    assert facts[:2] == ["fake, layer 1", "8 numbers"] and facts[2].startswith("length ")
    alone = await page(client, (await post(client, str(form["action"]))).headers["location"])
    assert [words(td) for td in alone.select(".sources td")][-1] == "1.00"


@pytest.mark.parametrize(("less", "said"), [("x", "no position"), ("99", "Line 2: There is no position 99")])
async def test_what_the_panel_cannot_keep_comes_back_as_a_form(
    client: httpx.AsyncClient, address: str, less: str, said: str
) -> None:
    soup = parsed(await post(client, f"{address}/vector?t=3", less=less), 422)
    assert said in words(one(soup, "#error-terms"))
    assert one(soup, "#terms").get_text().strip().startswith(f"1 {address}?t=3")


@pytest.mark.parametrize(
    ("lines", "kind", "weights"),
    [
        ("1 http://h{a}?t=3&p=5\n−1 {a}?t=2", "sum", [1.0, -1.0]),
        ("{a}?t=3\n{a}?t=2\n\n{a}?t=4\n2 {a}?t=1", "mean", [0.25, 0.25, 0.25, 0.5]),
        ("0,5 {id} 3", "sum", [0.5]),
        ("{id} 3", "sum", [1.0]),
    ],
)
async def test_a_sum_is_typed_line_by_line(
    client: httpx.AsyncClient, address: str, lines: str, kind: str, weights: list[float]
) -> None:
    terms = lines.format(a=address, id=address.removeprefix("/a/"))
    answer = await post(client, "/vectors", terms=terms, kind=kind, name="typed")
    assert answer.status_code == 303, answer.text
    found = (await client.get("/api" + answer.headers["location"].replace("/v/", "/vectors/"))).json()
    assert [source["weight"] for source in found["sum"]] == pytest.approx(weights)
    assert found["name"] == "typed"
    assert words(one(await page(client, "/vectors"), ".listing .title")) == "typed"


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ("", "Give one to 512 tokens"),
        ("nonsense", "Line 1 does not name a token"),
        ("1 /a/x?t=1\n1 /a/x", "Line 2 does not name a token"),
        ("1 http://[/a/x?t=1", "Line 1 does not name a token"),
        ("nan /a/x?t=1", "Line 1: Input should be a finite number"),
        ("1 /a/nobody?t=1", "Line 1: There is no analysis 'nobody'"),
        ("0 {a}?t=3", "length is 0"),
    ],
)
async def test_a_sum_that_cannot_be_is_told_beside_it(
    client: httpx.AsyncClient, address: str, terms: str, said: str
) -> None:
    soup = parsed(await post(client, "/vectors", terms=terms.format(a=address), name=EVIL), 422)
    assert said in words(one(soup, "#error-terms"))
    assert one(soup, ".sum [name=name]")["value"] == EVIL
    assert one(soup, "#terms")["aria-describedby"] == "error-terms"


async def test_a_file_is_uploaded(client: httpx.AsyncClient) -> None:
    files = {"file": (f"{EVIL}.safetensors", save({"a": V, "b": V[:2]}))}
    refused = parsed(await client.post("/vectors/upload", files=files, data={"name": EVIL}), 422)
    assert "2 tensors (a, b)" in words(one(refused, "#error-tensor"))
    assert one(refused, ".upload [name=name]")["value"] == EVIL
    answer = await client.post("/vectors/upload", files=files, data={"name": EVIL, "tensor": "a"})
    assert answer.status_code == 303
    text = (await client.get(answer.headers["location"])).text
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text and "\u202e" not in text
    assert "\u202e" not in (await client.get("/vectors")).text
    empty = parsed(await client.post("/vectors/upload", files={"file": ("", b"")}), 422)
    assert "Choose a file" in words(one(empty, "#error-file"))


async def test_it_is_read_and_stays_read(client: httpx.AsyncClient, pair: FakePair) -> None:
    address = await kept(client)
    before = await page(client, address)
    assert before.select(".read-once") == []
    form = one(before, ".read-vector")
    answer = await post(
        client, str(form["action"]), samples="2", temperature="", max_new_tokens="200", seed="0"
    )
    assert answer.status_code == 303
    path, _, anchor = answer.headers["location"].partition("#")
    soup = await page(client, path)
    assert [quote.get_text() for quote in one(soup, f"#{anchor}").select("blockquote")] == [
        text_of(V, n) for n in range(2)
    ]
    assert words(soup.select(".vector-reading strong")[0]) == "cosine 1.00 with the vector"
    again = await post(
        client, str(form["action"]), samples="2", temperature="", max_new_tokens="200", seed="0"
    )
    assert again.headers["location"] == answer.headers["location"]
    assert len(pair.verbaliser.finished) == 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"samples": "0"}, "samples"),
        ({"samples": "99"}, "samples"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_new_tokens": "9999"}, "max_new_tokens"),
        ({"seed": "-1"}, "seed"),
    ],
)
async def test_how_it_cannot_be_read_is_told(
    client: httpx.AsyncClient, fields: dict[str, str], field: str
) -> None:
    soup = parsed(await post(client, f"{await kept(client)}/read", **fields), 422)
    assert words(one(soup, f"#error-{field}"))
    assert one(soup, f"[name={field}]")["value"] == fields[field]


async def test_a_reading_that_failed_is_told(client: httpx.AsyncClient, pair: FakePair) -> None:
    pair.verbaliser.broken = {0}
    soup = parsed(await post(client, f"{await kept(client)}/read", samples="1"), 503)
    assert "The AV choked on this one." in words(one(soup, ".read-vector [role=alert]"))


async def test_who_begins_to_wait_after_a_reading_failed_is_told_why(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    reader, vector = app.state.vector_reader, (await kept(client)).rpartition("/")[2]
    pair.verbaliser.broken = {0}
    id, _ = await reader.submit(vector, Verbalise(samples=1))
    assert [event.kind async for event in reader.follow(id)][-1] == "done"
    assert "choked" in (await reader.wait(id)).readings[0].error
    assert (await client.get(f"/api/vectors/{vector}/readings/{id}")).status_code == 404


async def test_a_reading_that_takes_long_is_shown_as_it_comes(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_soon, "SOON", 0.05)
    address = await kept(client)
    pair.verbaliser.limit(0)
    answer = await post(client, f"{address}/read", samples="2", max_new_tokens="200", seed="0")
    assert answer.status_code == 303
    path, _, anchor = answer.headers["location"].partition("#")
    shown = one(await page(client, path), f"#{anchor}")
    assert "2 readings, " in words(shown) and "0 of 2 readings" in words(one(shown, "[role=status]"))
    follow = str(shown["hx-get"])
    still = await client.get(follow, headers=SCRIPTED)
    assert one(parsed(still), f"#{anchor}")["hx-get"] == follow
    assert (await client.get(follow)).headers["location"] == answer.headers["location"]
    pair.verbaliser.allow()
    made = await app.state.vector_reader.wait(anchor.removeprefix("r-"))
    there = one(parsed(await client.get(follow, headers=SCRIPTED)), f"#{anchor}")
    assert [quote.get_text() for quote in there.select("blockquote")] == [r.text for r in made.readings]
    assert "hx-get" not in there.attrs


async def test_a_reading_that_takes_long_can_be_cancelled(
    client: httpx.AsyncClient, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_soon, "SOON", 0.05)
    address = await kept(client)
    pair.verbaliser.limit(0)
    answer = await post(client, f"{address}/read", samples="1", max_new_tokens="200", seed="0")
    shown = one(await page(client, address), f"#{answer.headers['location'].partition('#')[2]}")
    cancel = str(one(shown, "form")["action"])
    for _ in range(2):  # the second finds nothing to cancel
        assert (await post(client, cancel)).headers["location"] == address
    assert (await page(client, address)).select(".read-once") == []
    refused = parsed(await client.get(str(shown["hx-get"]), headers=SCRIPTED))
    assert words(one(refused, "[role=alert]")) == "This reading was cancelled before it was made."


async def test_it_is_deleted(client: httpx.AsyncClient) -> None:
    address = await kept(client)
    answer = await post(client, f"{address}/delete")
    assert (answer.status_code, answer.headers["location"]) == (303, "/vectors")
    gone = await client.get(address, headers={"accept": "text/html"})
    assert (gone.status_code, "There is no vector" in gone.text) == (404, True)


async def test_a_source_that_is_gone_is_named_without_a_link(client: httpx.AsyncClient, address: str) -> None:
    made = await post(client, f"{address}/vector?t=3")
    await client.delete(f"/api/analyses/{address.removeprefix('/a/')}")
    soup = await page(client, made.headers["location"])
    assert soup.select(".sources a") == []
    assert "of an analysis that was deleted" in words(one(soup, ".sources tbody th"))


async def test_the_form_of_an_edit_offers_vectors(client: httpx.AsyncClient, address: str) -> None:
    assert (await page(client, f"{address}?t=3")).select("[name=vector]") == []
    vector = await kept(client, EVIL)
    id = vector.removeprefix("/v/")
    choice = one(await page(client, f"{address}?t=3"), ".edit [name=vector]")
    assert [option["value"] for option in choice.select("option")] == ["", id]
    assert "<script>" in words(choice)
    answer = await post(client, f"{address}/edit?t=3", **EDIT, vector=id)
    assert answer.status_code == 303, answer.text
    soup = await page(client, answer.headers["location"])
    link = one(soup, ".edited .with-vector a")
    assert (link["href"], "<script>" in words(link)) == (vector, True)
    assert soup.select(".edited .diff") == []
    assert words(soup.select(".effects tr.output th")[0]) == "this vector"
    assert "is turned to the direction of the vector" in words(one(soup, ".edited"))
    assert one(soup, ".edit [name=vector] [selected]")["value"] == id
    assert words(one(soup, ".earlier [aria-current]")).startswith("the vector ")
    await post(client, f"{vector}/delete")
    again = await page(client, answer.headers["location"])
    assert one(again, ".edited .with-vector a")["href"] == vector
    export = (await client.get(f"/api/analyses/{address.removeprefix('/a/')}/export.html")).text
    assert f'href="http://127.0.0.1:8000{vector}"' in export and "<script>alert" not in export


async def test_steering_along_a_vector_and_its_refusals(client: httpx.AsyncClient, address: str) -> None:
    id = (await kept(client)).removeprefix("/v/")
    fields = EDIT | {"mode": "steer", "alpha": "0.5", "sweep": "1", "vector": id, "text": ""}
    answer = await client.post(f"{address}/edit?t=3", content=urlencode(fields), headers=FORM | SCRIPTED)
    soup = parsed(answer)
    assert "is steered along the vector, each step 0.50 times" in words(one(soup, ".edited"))
    assert len(soup.select(".strengths tbody tr")) == 5
    refused = parsed(await post(client, f"{address}/edit?t=3", **(EDIT | {"vector": "nobody"})), 422)
    assert "There is no vector" in words(one(refused, "#edit-vector-3"))
