"""Edits and what other layers read, in the files of an analysis."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from bs4 import BeautifulSoup

from frontend.analysis.html_export import html_export
from server.analyses.schema import SiblingReadings
from server.settings import Settings
from tests.fakes import FakePair, FakeSource
from tests.frontend import made
from tests.frontend.parsed import one, words
from tests.frontend.test_edit_routes import EDIT
from tests.frontend.test_edits import PLACE, intervention
from tests.frontend.test_html_export import EVIL
from tests.frontend.test_routes import FORM, HTML, finished

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(FakePair(), FakePair(name="deep", layer=2))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"extra_pairs": "deep"})


def sibling(**fields: Any) -> SiblingReadings:
    """An analysis of the same tokens at another layer."""
    whole = {"pair": "deep", "layer": 25, "id": "def456", "url": "/a/def456", "status": "done"}
    return SiblingReadings.model_validate(
        whole | {"tokens": made.tokens(), "readings": [made.reading(PLACE, text="Read deeper.")]} | fields
    )


def file(siblings: list[SiblingReadings], *edits: Any) -> BeautifulSoup:
    return BeautifulSoup(
        html_export(made.analysis(), "http://here:8000/", NOW, siblings, edits), "html.parser"
    )


def test_an_edit_stands_at_its_token_with_what_was_edited_and_what_it_did() -> None:
    soup = file([], intervention(), intervention(id="edit2"))
    panel = one(soup, f"#t{PLACE}")
    assert len(panel.select(".edited")) == len(soup.select(".edited")) == 2
    shown = panel.select(".edited")[0]
    assert shown.select("del")[0].get_text() == "sleep"
    assert shown.select("ins")[0].get_text() == "dog"
    assert words(one(shown, ".verdict")).startswith("After ")
    assert shown.select(".effects tr")
    links = [str(link["href"]) for link in panel.select(".edits a")]
    assert "http://here:8000/a/abc123?t=10&edit=edit1" in links
    assert all(link.startswith("http://here:8000/") for link in links)
    assert [link["href"] for link in soup.select(".all-edits a")] == [f"#t{PLACE}"] * 2


def test_what_other_layers_read_stands_at_the_same_token() -> None:
    soup = file([sibling()])
    shown = one(soup, f"#t{PLACE} .beside-layers")
    assert "layer 25 deep" in words(shown)
    assert "Read deeper." in words(shown)
    assert one(shown, "h4 a")["href"] == "http://here:8000/a/def456?t=10"
    assert "This position was not read." in words(one(soup, "#t3 .beside-layers"))


def test_where_its_reply_is_another_one_a_sibling_says_nothing() -> None:
    other = made.tokens()
    other[PLACE].id = 7
    soup = file([sibling(tokens=other[: PLACE + 2])])
    assert "deep" not in words(one(soup, f"#t{PLACE}"))
    assert "deep" in words(one(soup, f"#t{PLACE + 1}"))
    assert "deep" not in words(one(soup, f"#t{PLACE + 2}"))


def test_one_that_is_still_read_asks_nobody() -> None:
    soup = file([sibling(status="running", readings=[])], intervention())
    assert "Being read." in words(one(soup, f"#t{PLACE}"))
    assert not soup.select("[hx-get], [hx-post], [hx-trigger], [action], form")


def test_hostile_words_are_text() -> None:
    request = intervention().request.model_copy(update={"text": EVIL, "targets": [EVIL]})
    soup = file(
        [sibling(pair=EVIL, readings=[made.reading(PLACE, text=EVIL)])], intervention(request=request)
    )
    assert len(soup.select("script")) == len(soup.select("style")) == 1
    assert not soup.select("img, [onerror]")
    shown = "".join(tag.get_text() for tag in soup.select(f"#t{PLACE} ins"))
    assert "alert(" in shown


@pytest.mark.anyio
async def test_every_format_has_the_edits_and_the_other_layers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", data=FORM | {"pair": "fake", "also": ["deep"]}, headers=HTML)
    first = answer.headers["location"]
    await finished(client, first)
    other = (await client.get(f"/api/analyses/{first.removeprefix('/a/')}")).json()
    address = other["siblings"][0]["url"]  # the pair that is resident in the end
    await finished(client, address)
    answer = await client.post(f"{address}/edit?t=3", data=EDIT)
    assert answer.status_code == 303, answer.text
    api = f"/api/analyses/{address.removeprefix('/a/')}"

    told = (await client.get(f"{api}/export.json")).json()
    (there,) = told["siblings"]
    assert (there["pair"], there["layer"], there["id"]) == ("fake", other["layer"], other["id"])
    assert (there["readings"], there["tokens"]) == (other["readings"], other["tokens"])
    assert [edit["request"]["text"] for edit in told["interventions"]] == [EDIT["text"]]

    page = BeautifulSoup((await client.get(f"{api}/export.html")).text, "html.parser")
    assert EDIT["text"] in words(one(page, "#t3 .edits"))
    assert words(one(page, "#t3 .beside-layers blockquote")) == " ".join(other["readings"][3]["text"].split())

    rows = list(csv.DictReader(io.StringIO((await client.get(f"{api}/siblings.csv")).text, newline="")))
    cells = pq.read_table(io.BytesIO((await client.get(f"{api}/siblings.parquet")).content)).to_pylist()
    for found in (rows, cells):
        assert {(row["pair"], str(row["layer"]), row["analysis"]) for row in found} == {
            ("fake", str(other["layer"]), other["id"])
        }
        assert [row["reading"] for row in found] == [reading["text"] for reading in other["readings"]]
        assert [float(row["norm"]) for row in found] == [token["norm"] for token in other["tokens"]]
    offered = [str(link["href"]) for link in one(await finished(client, address), ".exports").select("a")]
    assert f"{api}/siblings.csv" in offered
