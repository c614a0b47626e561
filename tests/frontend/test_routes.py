"""The pages over HTTP, on a fake pair."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend.library import routes
from server.analyses.limits import LETTERS_PER_TOKEN
from server.settings import Settings
from tests.conftest import client_of, running, served
from tests.fakes import FakeSource
from tests.frontend.parsed import one, words

pytestmark = pytest.mark.anyio

FORM = {
    "mode": "chat",
    "prompt": "Hi you",
    "reply_tokens": "8",
    "positions": "all",
    "samples": "1",
    "seed": "0",
}
HTML = {"accept": "text/html"}


async def send(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    body = urlencode(FORM | fields)
    return await client.post("/", content=body, headers={"content-type": "application/x-www-form-urlencoded"})


async def finished(client: httpx.AsyncClient, address: str) -> BeautifulSoup:
    """The page once its events have ended."""
    async with client.stream("GET", f"/api/analyses/{address.removeprefix('/a/')}/events") as events:
        async for _ in events.aiter_lines():
            pass
    return BeautifulSoup((await client.get(address)).text, "html.parser")


async def test_the_form_leads_to_the_permalink(client: httpx.AsyncClient) -> None:
    answer = await send(client)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/a/")


async def forecast(client: httpx.AsyncClient, **fields: str) -> str:
    """What the page says of the form before it is sent."""
    sent = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("/forecast", content=urlencode(FORM | fields), headers=sent)
    assert answer.status_code == 200
    return words(BeautifulSoup(answer.text, "html.parser"))


async def test_the_form_tells_what_it_would_come_to(client: httpx.AsyncClient, settings: Settings) -> None:
    assert await forecast(client) == "9 of at most 2,000 tokens; up to 17 readings"
    assert await forecast(client, reply_tokens="0") == "9 of at most 2,000 tokens; 9 readings"
    await finished(client, (await send(client)).headers["location"])
    assert await forecast(client) == "9 of at most 2,000 tokens; up to 17 readings, a few seconds"


async def test_a_form_that_says_too_little_has_no_forecast_and_one_too_long_an_error(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    assert await forecast(client, prompt="") == ""
    long = "x" * settings.max_prompt_tokens
    assert "tokens long; this server takes up to 2,000. Shorten it." in await forecast(client, prompt=long)


async def test_the_same_form_leads_to_the_same_permalink(client: httpx.AsyncClient) -> None:
    assert (await send(client)).headers["location"] == (await send(client)).headers["location"]


async def test_the_forms_bounds_are_the_settings_own(settings: Settings, source: FakeSource) -> None:
    own = settings.model_copy(update={"max_samples": 5, "max_reply_tokens": 30, "max_prompt_tokens": 100})
    async with running(own, source) as app, client_of(app) as client:
        form = one(BeautifulSoup((await client.get("/")).text, "html.parser"), "form.composer")
        assert one(form, "[name=samples]")["max"] == "5"
        assert one(form, "[name=reply_tokens]").attrs.items() >= {"max": "30", "value": "30"}.items()
        assert one(form, "#prompt")["data-letters"] == str(100 * LETTERS_PER_TOKEN)
        assert (await send(client, samples="5", reply_tokens="30")).status_code == 303
        assert (await send(client, samples="6")).status_code == 422


async def test_a_prompt_that_is_too_long_is_told_above_it_and_kept(client: httpx.AsyncClient) -> None:
    prompt = "x" * 3000
    form = one(BeautifulSoup((await send(client, prompt=prompt)).text, "html.parser"), "form.composer")
    message, field = form.select("#error-prompt, #prompt")
    assert words(message) == "The prompt is 3,003 tokens long; this server takes up to 2,000. Shorten it."
    assert field.get_text().strip() == prompt
    assert "autofocus" in field.attrs


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt", ""), ("prompt", "x" * 3000), ("seed", "1e99"), ("samples", "9"), ("reply_tokens", "9999")],
)
async def test_what_cannot_be_asked_is_told_beside_its_field(
    client: httpx.AsyncClient, field: str, value: str
) -> None:
    answer = await send(client, **{field: value})
    assert answer.status_code == 422
    assert words(one(BeautifulSoup(answer.text, "html.parser"), f"#error-{field}"))


TURNS = {
    "role": "user",
    "turn-0-role": "assistant",
    "turn-0-content": "<b>\nyes",
    "turn-1-role": "user",
    "turn-1-content": "And?",
    "prefill": "So",
    "system": "Be brief.",
    "samples": "2",
}


def typed(soup: BeautifulSoup) -> dict[str, str]:
    """What stands in the composer's fields of text, and who speaks."""
    texts = {
        field["name"]: field.get_text().removeprefix("\n") for field in soup.select(".composer textarea")
    }
    return {str(name): text for name, text in texts.items()} | {
        str(select["name"]): words(one(select, "[selected]")) for select in soup.select(".who select")
    }


@pytest.mark.parametrize("scripted", [True, False])
async def test_a_turn_is_added_and_removed_and_what_was_typed_stays(
    client: httpx.AsyncClient, scripted: bool
) -> None:
    client.headers.update({"hx-request": "true"} if scripted else {})
    answer = await send(client, **TURNS, turn="add")
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.text, "html.parser")
    assert bool(soup.select("h1")) is not scripted
    there = typed(soup)
    assert there == {name: text for name, text in TURNS.items() if name != "samples"} | {
        "prompt": "Hi you",
        "turn-2-role": "assistant",
        "turn-2-content": "",
    }
    assert one(soup, "[autofocus]")["name"] == "turn-2-content"
    assert one(soup, "[name=samples]")["value"] == "2"
    fewer = BeautifulSoup((await send(client, **TURNS, turn="remove-0")).text, "html.parser")
    assert [name for name in typed(fewer) if name.startswith("turn")] == ["turn-0-content", "turn-0-role"]
    assert typed(fewer)["turn-0-content"] == "And?"


async def test_all_turns_are_asked_and_come_back_to_be_edited(client: httpx.AsyncClient) -> None:
    address = (await send(client, **TURNS)).headers["location"]
    id = address.removeprefix("/a/")
    asked = (await client.get(f"/api/analyses/{id}")).json()["request"]
    assert [(m["role"], m["content"]) for m in asked["messages"]] == [
        ("system", "Be brief."),
        ("user", "Hi you"),
        ("assistant", "<b>\nyes"),
        ("user", "And?"),
        ("assistant", "So"),
    ]
    assert asked["continue_final_message"] is True
    soup = BeautifulSoup((await client.get(f"/?from={id}")).text, "html.parser")
    assert typed(soup) == {name: text for name, text in TURNS.items() if name != "samples"} | {
        "prompt": "Hi you"
    }
    assert all(place.has_attr("open") for place in soup.select(".prefill, .system"))


async def test_one_prompt_asks_nothing_more(client: httpx.AsyncClient) -> None:
    soup = BeautifulSoup((await client.get("/")).text, "html.parser")
    assert not soup.select(".turn, .who, .extras [open]")


async def test_an_empty_turn_is_told_beside_it(client: httpx.AsyncClient) -> None:
    answer = await send(client, **TURNS | {"turn-1-content": ""})
    assert answer.status_code == 422
    soup = BeautifulSoup(answer.text, "html.parser")
    assert words(one(soup, "#error-turn-1-content")) == "Type this turn, or remove it."
    assert one(soup, "[autofocus]")["aria-describedby"] == "error-turn-1-content"


@pytest.mark.parametrize(
    "prompt",
    [
        "<|im_end|><|im_start|>system",
        "\u0642\u0637\u0629",
        "\U0001f431",
        "a\x00b",
        " " * 1500,
        "\n\nx\n",
        "<b>",
    ],
)
async def test_odd_text_survives_the_round_trip(client: httpx.AsyncClient, prompt: str) -> None:
    address = (await send(client, prompt=prompt)).headers["location"]
    asked = (await client.get(f"/api/analyses/{address.removeprefix('/a/')}")).json()["request"]
    assert asked["messages"] == [{"role": "user", "content": prompt}]
    soup = await finished(client, address)
    assert len(soup.select("#text .is-user .tok")) == len(prompt) + 2


async def test_another_sites_form_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=urlencode(FORM), headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


async def test_a_body_that_is_no_form_is_a_form_without_a_prompt(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=b"\xff\xfe{]")
    assert answer.status_code in (303, 422)


@pytest.mark.parametrize("path", ["/a/none", "/a/none/panel?t=1", "/a/none/stream", "/?from=none"])
async def test_an_unknown_analysis_is_a_readable_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == 404
    assert one(BeautifulSoup(answer.text, "html.parser"), "h1")


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ("t=x", "t is a number that counts from 0, not 'x'."),
        ("t=-1", "t is a number that counts from 0, not '-1'."),
        ("t=999", "There is no position 999: the text ends at 16."),
        ("metric=foo", "There is no metric 'foo': use "),
        ("scale=<b>", "There is no scale '<b>': use "),
        ("p=1,2,3,4,5,6", "6 pins; up to 5 are drawn beside the pinned token."),
    ],
)
async def test_what_an_address_cannot_have_is_told_and_left_out(
    client: httpx.AsyncClient, query: str, note: str
) -> None:
    address = (await send(client)).headers["location"]
    plain = await finished(client, address)
    answer = await client.get(f"{address}?{query}", headers=HTML)
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.text, "html.parser")
    assert words(one(soup, ".left-out")).startswith(note)
    assert one(soup, "#panel") == one(plain, "#panel")
    assert (await client.get(f"{address}/cells?{query}")).status_code == (200 if query == "t=999" else 422)


async def test_the_address_of_what_was_deleted_lately_offers_to_undo_that(client: httpx.AsyncClient) -> None:
    address = (await send(client, prompt="A kettle")).headers["location"]
    await client.post(f"{address}/delete")
    answer = await client.get(f"{address}?t=3", headers=HTML)
    assert answer.status_code == 404
    soup = BeautifulSoup(answer.text, "html.parser")
    assert words(one(soup, ".title")) == "A kettle"
    undo = one(soup, "main form")
    assert (undo["method"], undo["action"]) == ("post", f"{address}/restore")
    await client.post(str(undo["action"]))
    assert (await client.get(address)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/library", "/models"])
async def test_every_page_stands_under_the_policy(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_a_panel_pushes_its_permalink(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    await finished(client, address)
    answer = await client.get(f"{address}/panel?t=3")
    assert answer.headers["hx-push-url"] == f"{address}?t=3"


async def test_a_page_that_still_listens_hears_of_the_token_it_asked_for(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    await finished(client, address)
    soup = BeautifulSoup((await client.get(f"{address}/panel?t=3")).text, "html.parser")
    assert one(soup, r"hx-partial[hx-target='#stream[hx-sse\\:connect]'] [hx-sse\:connect$='t=3']")


async def library(client: httpx.AsyncClient, query: str = "") -> BeautifulSoup:
    answer = await client.get(f"/library{query}")
    assert answer.status_code == 200
    return BeautifulSoup(answer.text, "html.parser")


def titles(soup: BeautifulSoup) -> list[str]:
    return [words(title) for title in soup.select("#results .listing a .title")]


async def test_without_scripts_a_deletion_leads_to_a_page_that_undoes_it(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    before = await finished(client, address)
    answer = await client.post(f"{address}/delete")
    assert answer.status_code == 303
    assert (await client.get(address)).status_code == 404
    soup = await library(client, answer.headers["location"].removeprefix("/library"))
    assert titles(soup) == []
    undo = one(soup, ".gone form")
    assert undo["method"] == "post"
    answer = await client.post(str(undo["action"]))
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    after = BeautifulSoup((await client.get(address)).text, "html.parser")
    assert one(after, ".analysis") == one(before, ".analysis")


async def test_with_scripts_a_line_becomes_the_undo_and_a_line_again(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    await finished(client, address)
    line = one(await library(client), ".listing li")
    asked = {"HX-Request": "true"}
    answer = await client.post(str(one(line, "form")["hx-post"]), headers=asked)
    undo = BeautifulSoup(answer.text, "html.parser")
    assert words(one(undo, "[role=status]")) == "Deleted: Hi you"
    answer = await client.post(str(one(undo, "form")["hx-post"]), headers=asked)
    assert one(BeautifulSoup(answer.text, "html.parser"), "li") == line


async def test_what_was_deleted_lately_can_be_found_and_brought_back(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    await client.post(f"{address}/delete")
    soup = await library(client, "?status=deleted")
    assert one(soup, "#results .is-deleted form")["action"] == f"{address}/restore"
    await client.post(f"{address}/restore")
    assert titles(await library(client)) == ["Hi you"]


@pytest.mark.parametrize("query", ["?deleted=nobody", "?deleted=%00%22"])
async def test_a_notice_of_what_is_not_there_is_left_out(client: httpx.AsyncClient, query: str) -> None:
    assert not (await library(client, query)).select(".gone")


async def test_the_library_is_narrowed_by_its_form(client: httpx.AsyncClient) -> None:
    for prompt in ("cats", "dogs"):
        await finished(client, (await send(client, prompt=prompt)).headers["location"])
    soup = await library(client, "?q=cats&pair=fake&status=done")
    assert titles(soup) == ["cats"]
    assert "1 analysis with “cats”" in words(one(soup, "#results"))
    assert [option["value"] for option in soup.select("option[selected]")] == ["fake", "done"]
    assert titles(await library(client, "?q=&pair=&status=&before=")) == ["dogs", "cats"]
    assert titles(await library(client, "?status=failed")) == []


async def test_the_library_goes_on_to_older_ones(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "LISTED", 2)
    for n in range(5):
        await finished(client, (await send(client, prompt=f"cats {n}")).headers["location"])
    query, seen = "?q=cats", []
    while True:
        soup = await library(client, query)
        seen.append(titles(soup))
        assert "5 analyses" in words(one(soup, "#results"))
        if not (older := soup.select("a[rel=next]")):
            break
        query = str(older[0]["href"]).removeprefix("/library")
    assert seen == [["cats 4", "cats 3"], ["cats 2", "cats 1"], ["cats 0"]]
    newest = one(soup, ".pages a")
    assert newest["href"] == "/library?q=cats"


@pytest.mark.parametrize("query", ["status=x", "before=nobody", "q=" + "x" * 501])
async def test_a_library_that_cannot_be_is_a_readable_page(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/library?{query}", headers=HTML)
    assert answer.status_code == 422
    assert one(BeautifulSoup(answer.text, "html.parser"), "h1")


async def test_every_export_is_offered_and_there(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    soup = await finished(client, address)
    offered = [str(link["href"]) for link in soup.select(".exports a")]
    assert [href.rsplit("/")[-1] for href in offered] == [
        *("export.html", "export.csv", "export.parquet", "export.json"),
        *("interventions.csv", "interventions.parquet"),
    ]
    for href in offered:
        answer = await client.get(href)
        assert answer.headers["content-disposition"].startswith("attachment; filename=")


async def test_an_exported_page_names_the_address_it_came_from(client: httpx.AsyncClient) -> None:
    address = (await send(client)).headers["location"]
    await finished(client, address)
    answer = await client.get(f"/api/analyses{address.removeprefix('/a')}/export.html")
    link = one(BeautifulSoup(answer.text, "html.parser"), ".source a")
    assert link["href"] == f"http://127.0.0.1:8000{address}"


async def test_the_stream_of_a_finished_analysis_brings_all_and_ends(app: FastAPI) -> None:
    async with served(app) as server, httpx.AsyncClient(base_url=server) as client:
        address = (await send(client)).headers["location"]
        await finished(client, address)
        answer = await client.get(f"{address}/stream?t=3")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert 'hx-target="#text"' in answer.text
    assert answer.text.endswith("event: done\ndata: {}\n\n")


async def test_with_one_pair_the_form_offers_no_choice(client: httpx.AsyncClient) -> None:
    soup = BeautifulSoup((await client.get("/", headers=HTML)).text, "html.parser")
    assert soup.select("[name=pair], [name=also]") == []
