"""The switch between the logit lens and the tuned one."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend import templating
from frontend.analysis.view import View
from frontend.lens.lens_map import map_table
from frontend.page_stream import OpenPage
from frontend.view_state import ViewState
from server.analyses.lens_table import LensTable
from server.analyses.schema import Analysis, Snapshot
from tests.fakes import FakePair
from tests.frontend import made
from tests.frontend.parsed import one, page, words
from tests.frontend.test_routes import finished, send

TUNED = ViewState(t=12, lens="tuned")


def tuned_lens() -> LensTable:
    """Like the plain one, but everywhere half as likely."""
    plain = made.lens(len(made.CHAT))
    return LensTable(**{**vars(plain), "prob": np.full_like(plain.prob, 0.5)})


def both() -> Analysis:
    return made.analysis(tuned_lens=tuned_lens())


def current(soup: BeautifulSoup, where: str) -> list[str]:
    return [words(a) for a in soup.select(f"{where} .which [aria-current]")]


def test_with_one_lens_there_is_no_switch() -> None:
    assert not page(made.analysis(), view_state=ViewState(t=12)).select(".which")


@pytest.mark.parametrize(("view_state", "name"), [(ViewState(t=12), "logit lens"), (TUNED, "tuned lens")])
def test_map_and_curve_offer_both_and_say_which_is_shown(view_state: ViewState, name: str) -> None:
    soup = page(both(), view_state=view_state)
    for where in ("#lens", ".layers"):
        assert [words(a) for a in soup.select(f"{where} .which a")] == ["logit lens", "tuned lens"]
        assert current(soup, where) == [name]
    assert words(one(soup, "#lens h2")).lower() == name


def test_the_switch_changes_nothing_else() -> None:
    soup = page(both(), view_state=ViewState(t=12, pins=(8,), metric="kl"))
    hrefs = [a["href"] for a in soup.select("#lens .which a")]
    assert hrefs == ["/a/abc123?t=12&p=8&metric=kl", "/a/abc123?t=12&p=8&metric=kl&lens=tuned"]


def test_curve_cell_and_map_are_of_the_lens_that_is_asked_for() -> None:
    soup = page(both(), view_state=TUNED)
    assert {words(td) for td in soup.select(".layers tbody td:nth-of-type(1)")} == {"50.00 %"}
    assert "probability 50 %" in words(one(soup, ".layers .cell")).replace("\u202f", " ")
    tag = one(soup, "lens-map")
    assert tag["source"] == "/a/abc123/cells?metric=prob&lens=tuned"
    assert tag["cell"] == "/a/abc123/cell?lens=tuned"


def test_each_lens_says_what_it_does_not_show() -> None:
    assert "not what the model believes at that layer" in words(one(page(both()), ".layers"))
    soup = page(both(), view_state=TUNED)
    assert "trained to come near the output" in words(one(soup, ".layers"))
    assert "not that the model uses it there" in words(one(soup, "#lens"))


def test_the_table_is_of_that_lens_too() -> None:
    soup = BeautifulSoup(templating.render("lens/table.html", map_table(View(both(), TUNED))), "html.parser")
    assert words(one(soup, "h1")) == "Tuned lens, as a table"
    assert {words(td).replace("\u202f", " ") for td in soup.select("tbody td")} == {"50 %"}


def test_an_address_that_asks_for_a_lens_that_is_not_there_gets_the_plain_one_and_is_told() -> None:
    soup = page(made.analysis(), view_state=TUNED)
    assert "This analysis has no tuned lens; the logit lens is shown." in words(one(soup, ".layers"))
    assert one(soup, "lens-map")["source"] == "/a/abc123/cells?metric=prob"


def test_while_the_tuned_lens_is_to_come_the_page_says_so() -> None:
    coming = made.analysis(status="running", versions={"tuned_lens": "of some texts"})
    said = words(one(page(coming, view_state=TUNED), ".layers"))
    assert "The tuned lens is made after the readings; the logit lens is shown." in said


def test_a_word_to_compare_keeps_the_lens() -> None:
    assert one(page(both(), view_state=TUNED), ".ask input[name=lens]")["value"] == "tuned"


def test_an_open_page_gets_it_when_it_comes() -> None:
    open_page, running = OpenPage(TUNED), made.analysis(status="running", readings=[])
    assert "50.00 %" not in open_page.fragments(Snapshot(running))
    assert "50.00 %" in open_page.fragments(Snapshot(running.model_copy(update={"tuned_lens": tuned_lens()})))


@pytest.mark.anyio
async def test_the_panel_brings_the_map_along_when_the_lens_changes(
    app: FastAPI, client: httpx.AsyncClient, pair: FakePair
) -> None:
    pair.target.has_tuned_lens = True
    address = (await send(client)).headers["location"]
    await finished(client, address)
    query = ViewState(t=3, lens="tuned").query(whole=True)
    for shown, targets in ((ViewState(t=3), ["#lens"]), (ViewState(t=3, lens="tuned"), [])):
        headers = {"HX-Current-URL": f"http://host{address}{shown.query()}"}
        answer = await client.get(f"{address}/panel{query}", headers=headers)
        soup = BeautifulSoup(answer.text, "html.parser")
        *found, stream = [tag["hx-target"] for tag in soup.select("hx-partial")]
        assert (found, stream) == (targets, r"#stream[hx-sse\:connect]")
        assert answer.headers["hx-push-url"] == f"{address}?t=3&lens=tuned"


@pytest.mark.anyio
@pytest.mark.parametrize("part", ["cells?metric=prob", "cell?t=1&layer=0"])
async def test_parts_of_a_lens_that_is_not_there_are_not_answered(
    app: FastAPI, client: httpx.AsyncClient, part: str
) -> None:
    address = (await send(client)).headers["location"]
    await finished(client, address)
    assert (await client.get(f"{address}/{part}")).status_code == 200
    answer = await client.get(f"{address}/{part}&lens=tuned")
    assert answer.status_code == 409
    assert "There is no tuned lens yet." in answer.text
