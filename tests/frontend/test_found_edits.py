"""A search that finds words of edits says so, and leads to them."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from bs4 import BeautifulSoup

from frontend.library import listing
from server.analyses.schema import AnalysisSummary, FoundEdit
from tests.frontend.parsed import one, words
from tests.frontend.test_edit_routes import address, edit

__all__ = ["address"]
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def shown(query: str, text: str, targets: list[str]) -> str:
    """The line of an edit, with marks in brackets."""
    found = FoundEdit(id="e", url="/a/a?t=3&edit=e", position=3, text=text, targets=targets)
    summary = AnalysisSummary(
        id="a",
        url="/a/a",
        title="",
        pair="p",
        status="done",
        created=NOW,
        tokens=1,
        readings=1,
        edits=[found],
    )
    (line,) = listing.listed([summary], NOW, query=query)
    (context,) = line.edits
    return context.where + "".join(f"[{s.text}]" if s.shared else s.text for s in context.words)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("PARIS", "It is Paris\n or Paris.", "In an edit: It is [Paris] or [Paris]."),
        ("is or", "It is Paris or", "In an edit: It [is] Par[is] [or]"),
        (".*", "a .* b", "In an edit: a [.*] b"),
        ("rome", "about Paris", "Watched in an edit: ·[Rome], a"),
        ("x", f"{'word ' * 30}x {'word ' * 30}", f"In an edit: … {'word ' * 6}[x] {'word ' * 17}wor …"),
    ],
)
def test_the_place_is_shown(query: str, text: str, expected: str) -> None:
    assert shown(query, text, [" Rome", "a"]) == expected


@pytest.mark.anyio
async def test_the_library_leads_to_the_edit(client: httpx.AsyncClient, address: str) -> None:
    made = (await edit(client, address, text="A <b>château</b> in Spain", watch="·Zaragoza")).headers[
        "location"
    ]
    for query, where in (("château", "In an edit:"), ("zaragoza", "Watched in an edit:")):
        soup = BeautifulSoup((await client.get("/library", params={"q": query})).text, "html.parser")
        found = one(soup, ".found-edit")
        assert words(found).startswith(where)
        assert one(found, "a")["href"] == made
        assert words(one(found, "mark")).lower() == query
    soup = BeautifulSoup((await client.get("/library")).text, "html.parser")
    assert not soup.select(".found-edit")


@pytest.mark.anyio
async def test_the_api_names_the_edit(client: httpx.AsyncClient, address: str) -> None:
    made = (await edit(client, address, text="A château", watch="·Zaragoza")).headers["location"]
    (found,) = (await client.get("/api/analyses", params={"q": "château"})).json()
    (named,) = found["edits"]
    assert named == {
        "id": made.partition("edit=")[2],
        "url": made,
        "position": 3,
        "text": "A château",
        "targets": [" Zaragoza"],
    }
    assert (await client.get("/api/analyses")).json()[0]["edits"] == []
