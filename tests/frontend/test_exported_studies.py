"""The file of a study that opens without a server, as a browser would parse it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from bs4 import BeautifulSoup

from frontend import standalone
from frontend.studies import html_export as exporting
from frontend.studies.figures import bar_figures, statistic_table
from frontend.studies.html_export import html_export
from server.jobs.progress import Progress
from server.studies import yaml_file
from server.studies.requests import PromptsRequest
from server.studies.schema import Case, ReadingResult, Study
from tests.fakes import FakeSource
from tests.frontend.made_study import case, cases, study
from tests.frontend.parsed import one, words
from tests.frontend.test_html_export import EVIL
from tests.frontend.test_studies import start
from tests.studies.sums import multiplying

NOW = datetime(2026, 11, 28, 22, 5, tzinfo=UTC)
HERE = "http://here:8000"


def file(made: Study) -> BeautifulSoup:
    return BeautifulSoup(html_export(made, f"{HERE}/", NOW), "html.parser")


@pytest.fixture(scope="module")
def full() -> Study:
    return study(cases(40))


@pytest.fixture(scope="module")
def whole(full: Study) -> BeautifulSoup:
    return file(full)


def of_prompts(asked: dict[str, Any], texts: list[str]) -> Study:
    readings = [
        ReadingResult(position=n, token=" x", url=f"/a/b?t={n}", text=text) for n, text in enumerate(texts)
    ]
    made = [Case(number=0, label="a prompt", analysis="b", url="/a/b", readings=readings)]
    request = PromptsRequest.model_validate({"kind": "prompts", **asked})
    more = {"kind": "prompts", "request": request, "cases": made, "statistics": {}}
    return study([]).model_copy(update=more)


def test_it_holds_every_case_figure_and_number(full: Study, whole: BeautifulSoup) -> None:
    assert len(whole.select("#cases tbody tr")) == len(full.cases)
    bars = [bar for figure in bar_figures(full) for group in figure.groups for bar in group.bars]
    assert len(whole.select(".bar-line")) == len(bars)
    assert [bar.text for bar in whole.select(".bar-words strong")] == [bar.value for bar in bars]
    table = [row for group in statistic_table(full) for row in group.rows]
    told = [[cell.text for cell in row.select("td")] for row in whole.select(".statistics tr:has(td)")]
    assert told == [[row.value, row.interval, row.null, row.null_interval, row.n, row.p] for row in table]
    for figure in ("lens", "edits"):
        assert whole.select(f"#figure-{figure} svg") and whole.select(f"#figure-{figure} tbody tr")
    assert "right answer to" in one(whole, ".study-words").text


def test_the_words_of_all_readings_lead_to_their_places_on_the_server(
    full: Study, whole: BeautifulSoup
) -> None:
    rows = whole.select(".study-readings tbody tr")
    read = [r for case in full.cases for digit in case.digits for r in (digit.at, digit.before) if r]
    assert [row.select("td")[1].text for row in rows] == [reading.text for reading in read]
    assert [str(one(row, "a")["href"]) for row in rows] == [HERE + reading.url for reading in read]


def test_of_very_many_readings_the_first_are_there_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_READINGS", 3)
    soup = file(of_prompts({"prompts": ["a"]}, ["one", "two", "three", "four"]))
    assert len(soup.select(".study-readings tbody tr")) == 3
    assert "The first 3" in one(soup, "details > .aside").text


def test_nothing_in_it_asks_anybody(whole: BeautifulSoup) -> None:
    assert not whole.select("script, [src], [hx-get], [hx-post], form, link[rel=stylesheet], base")
    links = [str(tag["href"]) for tag in whole.select("[href]")]
    assert all(link.startswith((f"{HERE}/a/abc", f"{HERE}/s/study1", "data:")) for link in links)
    style = one(whole, "style").get_text()
    assert all(each.startswith('"data:font/woff2;base64,') for each in re.findall(r"url\(([^)]*)\)", style))
    policy = one(whole, "meta[http-equiv=Content-Security-Policy]")["content"]
    assert policy == standalone.policy(style) and "script-src" not in str(policy)


@pytest.mark.parametrize(
    "asked",
    [
        {"rows": [{"a": "no", "b": "7\n: x"}], "template": "{a} and {b}?", "measures": {"m": {"regex": "\\d"}}},
        {"csv": 'country,of\r\nFrance,"Paris, no"\r\n', "template": [{"role": "user", "content": "{of}"}]},
        {"prompts": ["a\n b ", "# not a comment", "\u202eevil\x00", "日本"], "positions": {"token": " x"}},
    ],
)  # fmt: skip
def test_its_declaration_is_run_again_as_it_is(asked: dict[str, Any]) -> None:
    made = of_prompts(asked, [])
    declared = one(file(made), ".declaration").get_text()
    assert yaml_file.REQUEST.validate_python(yaml_file.read(declared)) == made.request
    assert "\u202e" not in declared


def test_the_declaration_is_short_and_to_be_read(full: Study, whole: BeautifulSoup) -> None:
    declared = one(whole, ".declaration").get_text()
    assert declared.startswith("kind: multiplication\nproblems: 40\nfactors:\n")
    assert "verbalise" not in declared
    assert yaml_file.REQUEST.validate_python(yaml_file.read(declared)) == full.request


def test_hostile_text_is_text_everywhere() -> None:
    made = case(0, (23, 7), "161", 161, error=EVIL)
    digit = made.digits[0]
    assert digit.at is not None
    evil = digit.at.model_copy(update={"text": EVIL, "token": EVIL, "url": "javascript:alert(1)"})
    made = made.model_copy(
        update={
            "label": EVIL,
            "reply": EVIL,
            "digits": [digit.model_copy(update={"at": evil, "digit": EVIL})],
        }
    )
    evil_study = study([made], title=EVIL, notes=[EVIL], status="failed", error=EVIL, pair=EVIL)
    asked = evil_study.request.model_copy(update={"template": f"{{a}} {{b}} {EVIL}"})
    soup = file(evil_study.model_copy(update={"versions": {EVIL: EVIL}, "request": asked}))
    assert len(soup.select("style")) == 1
    assert not soup.select("script, img, [onerror]")
    assert not [a for a in soup.select("a") if "javascript" in str(a["href"])]
    for place in (
        "h1",
        ".notice",
        ".facts",
        ".study-readings tr:first-child td[dir]",
        ".declaration",
        ".source",
    ):
        assert "alert(1)" in one(soup, place).get_text()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("running", "This study was not finished when it was exported. 5 of 100 cases are here."),
        ("cancelled", "This study was cancelled. 5 of 100 cases are here."),
        ("failed", "This study stopped on an error: No disk. 5 of 100 cases are here."),
    ],
)
def test_an_unfinished_one_says_so(status: str, expected: str) -> None:
    progress = Progress(stage="cases", done=5, total=100)
    soup = file(study(cases(5), status=status, error="No disk.", progress=progress))
    assert words(one(soup, ".notice")) == expected


def test_it_says_where_when_and_from_what_it_came(whole: BeautifulSoup) -> None:
    said = words(one(whole, ".source"))
    assert f"{HERE}/s/study1" in said and "fake, layer 20" in said and "2026-11-28 22:05 UTC" in said


@pytest.fixture
def source() -> FakeSource:
    """A pair that multiplies."""
    return multiplying()


@pytest.mark.anyio
async def test_it_is_offered_on_the_page_and_is_a_file(client: httpx.AsyncClient) -> None:
    address = (await start(client)).headers["location"]
    await client.get(f"{address}/stream")
    page = BeautifulSoup((await client.get(address)).text, "html.parser")
    href = str(page.select(".exports a")[0]["href"])
    assert href == f"/api/studies{address.removeprefix('/s')}/export.html"
    answer = await client.get(href)
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    soup = BeautifulSoup(answer.text, "html.parser")
    assert one(soup, ".source a")["href"] == f"http://127.0.0.1:8000{address}"
    assert len(soup.select("#cases tbody tr")) == 4
    assert (await client.get("/api/studies/nobody/export.html")).status_code == 404
