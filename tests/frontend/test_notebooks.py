"""The pages of notebooks over HTTP, on a fake pair; none of it needs a script."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend.notebooks.markdown import html_of
from tests.frontend.parsed import one, words
from tests.frontend.test_edit_routes import edit
from tests.frontend.test_routes import finished, send
from tests.frontend.test_vectors import page, parsed, post

EVIL = "<script>alert(1)</script>"


@pytest.fixture
async def address(client: httpx.AsyncClient) -> str:
    """A finished analysis."""
    address = (await send(client)).headers["location"]
    await finished(client, address)
    return str(address)


async def begun(client: httpx.AsyncClient, title: str = "Cats") -> str:
    """The page of a notebook."""
    made = await post(client, "/notebooks", title=title)
    assert made.status_code == 303
    return str(made.headers["location"])


def form_of(soup: BeautifulSoup, action: str) -> dict[str, str]:
    """What a form would send."""
    form = one(soup, f'form[action="{action}"]')
    fields = {str(i["name"]): str(i.get("value", "")) for i in form.select("input")}
    return fields | {str(t["name"]): t.text.removeprefix("\n") for t in form.select("textarea")}


@pytest.mark.anyio
async def test_a_token_is_put_into_a_new_notebook_from_its_panel(
    client: httpx.AsyncClient, address: str
) -> None:
    link = str(one(await page(client, f"{address}?t=2"), "#panel .to-notebook a")["href"])
    form = await page(client, link)
    assert "position 2" in words(one(form, "article.entry"))
    action = str(one(form, "form.write")["action"])
    answer = await post(client, action, notebook="", title="Cats", name="The i", note="It *says* so.")
    assert answer.status_code == 303
    where, _, entry = answer.headers["location"].partition("#")
    notebook = await page(client, where)
    shown = one(notebook, f"article[id='{entry}']")
    assert words(shown.select_one("h2")) == "The i"
    assert one(shown, ".note em").text == "says"
    assert one(shown, ".around mark").text == "i"
    assert "sample 0 says" in words(one(shown, "blockquote"))
    assert one(shown, ".shows a")["href"] == f"{address}?t=2"
    assert "To hold it against" in shown.text
    curve = one(shown, "figure")
    said = one(curve, "figcaption").text
    assert said.startswith("Probability of") and one(curve, "svg")["aria-label"] == said
    assert len(curve.select("polyline")) == 1
    again = await page(client, link)
    assert words(one(again, "select[name=notebook] option[selected]")) == "Cats"


@pytest.mark.anyio
async def test_an_edit_and_a_word_are_put_into_one_from_where_they_stand(
    client: httpx.AsyncClient, address: str
) -> None:
    notebook = (await begun(client)).removeprefix("/n/")
    await edit(client, address)
    edited = await page(client, str((await edit(client, address)).headers["location"]))
    link = next(str(a["href"]) for a in edited.select(".edited a") if "notebook" in a.text)
    assert (await post(client, link, notebook=notebook)).status_code == 303
    word = await page(client, f"{address}/word?word=at")
    link = next(str(a["href"]) for a in word.select(".word-files a") if "notebook" in a.text)
    assert (await post(client, link, notebook=notebook)).status_code == 303
    soup = await page(client, f"/n/{notebook}")
    first, second = soup.select("article.entry")
    assert first.select_one(".edited .verdict") and "an edit at" in words(first.select_one("h2"))
    assert not [a for a in first.select(".edited a") if "notebook" in a.text]
    assert second.select_one("svg title") and second.select_one(".word-facts li")
    assert str(one(second, "h2 a")["href"]) == f"{address}/word?word=at"


@pytest.mark.anyio
async def test_notes_are_written_changed_ordered_and_removed(client: httpx.AsyncClient) -> None:
    notebook = await begun(client)
    for name in ("one", "two"):
        assert (await post(client, f"{notebook}/entries", name=name, note=f"# {name}")).status_code == 303
    soup = await page(client, notebook)
    assert [words(h) for h in soup.select("article.entry > h2")] == ["one", "two"]
    assert [h.name for h in soup.select(".note :is(h1, h2, h3)")] == ["h3", "h3"]
    save, move = [str(f["action"]) for f in soup.select("article.entry")[0].select("form")][:2]
    fields = form_of(soup, save)
    assert (fields["name"], fields["note"]) == ("one", "# one")
    assert (await post(client, save, **fields | {"name": "three"})).status_code == 303
    assert (await post(client, move)).status_code == 303
    soup = await page(client, notebook)
    assert [words(h) for h in soup.select("article.entry > h2")] == ["two", "three"]
    late = parsed(await post(client, save, **fields | {"note": "typed in vain"}), 409)
    assert "Somebody has changed this entry" in words(one(late, "p.error"))
    assert "typed in vain" in form_of(late, save)["note"]
    for form in soup.select("article.entry")[0].select("form"):
        if "Remove" in form.text:
            await post(client, str(form["action"]))
    soup = await page(client, notebook)
    assert [words(h) for h in soup.select("article.entry > h2")] == ["three"]


@pytest.mark.anyio
async def test_what_is_wrong_comes_back_beside_its_field(client: httpx.AsyncClient, address: str) -> None:
    notebook = await begun(client)
    empty = parsed(await post(client, f"{notebook}/entries", name="", note=" "), 422)
    assert "Write something" in words(one(empty, "#error-note-new"))
    long = parsed(await post(client, f"{notebook}/entries", name="x" * 300, note="kept"), 422)
    assert one(long, "#name-new")["aria-invalid"] == "true"
    assert form_of(long, f"{notebook}/entries")["note"] == "kept"
    untitled = parsed(await post(client, f"{notebook}/title", title=" "), 422)
    assert untitled.select_one("#error-title")
    assert parsed(await post(client, "/notebooks", title=""), 422).select_one("#error-title")
    id = address.removeprefix("/a/")
    new = parsed(await post(client, f"/notebooks/add?analysis={id}&position=3", title="", name="kept"), 422)
    assert new.select_one("#error-title") and one(new, "#name-new")["value"] == "kept"
    gone = parsed(await post(client, f"/notebooks/add?analysis={id}&position=3", notebook="nosuch"), 404)
    assert "no notebook" in words(one(gone, "p.error"))
    assert len((await client.get("/api/notebooks")).json()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "query", ["", "analysis=ID", "analysis=ID&position=99", "analysis=ID&position=-1", "place=3"]
)
async def test_an_address_that_names_nothing_to_put_there_is_refused_or_a_note(
    client: httpx.AsyncClient, address: str, query: str
) -> None:
    found = await client.get(f"/notebooks/add?{query.replace('ID', address.removeprefix('/a/'))}")
    assert found.status_code == (422 if query else 200)


@pytest.mark.anyio
async def test_one_is_renamed_listed_and_deleted(client: httpx.AsyncClient) -> None:
    notebook = await begun(client, EVIL)
    listed = await page(client, "/notebooks")
    assert words(one(listed, ".listing a")) == EVIL
    await post(client, f"{notebook}/title", title="Dogs")
    assert words(one(await page(client, notebook), "h1")) == "Dogs"
    assert (await post(client, f"{notebook}/delete")).headers["location"] == "/notebooks"
    assert (await client.get(notebook)).status_code == 404
    assert "No notebooks yet" in (await client.get("/notebooks")).text


@pytest.mark.anyio
async def test_the_file_stands_alone_with_its_numbers(client: httpx.AsyncClient, address: str) -> None:
    notebook = await begun(client)
    id = address.removeprefix("/a/")
    await post(client, f"/notebooks/add?analysis={id}&position=3", notebook=notebook[3:], name="The i")
    answer = await client.get(f"/api/notebooks/{notebook[3:]}/export.html")
    assert "attachment" in answer.headers["content-disposition"]
    soup = BeautifulSoup(answer.text, "html.parser")
    assert not soup.select("form, script, link[rel=stylesheet]")
    assert str(one(soup, ".shows a")["href"]) == str(client.base_url.join(f"{address}?t=3"))
    data = str(one(soup, "a[download]")["href"])
    kept = json.loads(base64.b64decode(data.removeprefix("data:application/json;base64,")))
    assert kept == (await client.get(f"/api/notebooks/{notebook[3:]}/export.json")).json()


@pytest.mark.anyio
async def test_an_entry_whose_analysis_is_gone_says_so_and_keeps_its_note(
    app: FastAPI, client: httpx.AsyncClient, address: str
) -> None:
    notebook, id = await begun(client), address.removeprefix("/a/")
    await post(client, f"/notebooks/add?analysis={id}&position=3", notebook=notebook[3:], note="kept")
    await client.delete(f"/api/analyses/{id}")
    shown = one(await page(client, notebook), "article.entry")
    assert "deleted" in words(one(shown, ".notice"))
    assert words(one(shown, ".note")) == "kept"


@pytest.mark.parametrize(
    ("note", "html"),
    [
        (EVIL, "&lt;script&gt;"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x](data:text/html;base64,AA)", "[x](data:text/html;base64,AA)"),
        ("![x](https://example.org/pixel.png)", "!"),
        ("<img src=x onerror=alert(1)>", "&lt;img"),
        ('[x](https://example.org/ "\\" onmouseover=alert(1)")', "&quot; onmouseover"),
    ],
)
def test_a_note_runs_no_script_and_asks_nobody(note: str, html: str) -> None:
    found = html_of(note)
    assert html in found
    soup = BeautifulSoup(found, "html.parser")
    assert not soup.select("script, img, [onmouseover], [onerror]")
    assert not [a for a in soup.select("a") if not str(a["href"]).startswith("https://")]


def test_a_note_is_markdown_below_the_headings_of_the_page() -> None:
    soup = BeautifulSoup(
        html_of("# A\n## B\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[x](https://e.org)"), "html.parser"
    )
    assert [h.name for h in soup.select("h3, h4")] == ["h3", "h4"]
    assert [cell.text for cell in soup.select("td")] == ["1", "2"]
    assert set(one(soup, "a")["rel"]) == {"noopener", "noreferrer", "nofollow"}
