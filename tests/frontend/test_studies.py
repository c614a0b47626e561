"""The pages of studies: from made-up documents at every stage, and over HTTP on a pair that multiplies."""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend import templating
from frontend.studies import built_in_form, stream
from frontend.studies import cases as cases_page
from frontend.studies import form as forms
from frontend.studies.cases import LISTED, Show
from frontend.studies.contexts import StudyPage
from frontend.studies.figures import bar_figures
from frontend.studies.names import name_of
from frontend.studies.page import study_page
from frontend.studies.stream import OpenStudy
from frontend.studies.words import sentences
from frontend.typed_form import FormError
from server.jobs.progress import Progress
from server.settings import Settings
from server.studies import prompts_figures
from server.studies.requests import PromptsRequest
from server.studies.schema import Case, Null, ReadingResult, Statistic, Study, WordEdit
from tests.fakes import FakeSource
from tests.frontend.made_study import ALPHAS, LAYERS, case, cases, study
from tests.frontend.parsed import READY, one
from tests.studies.sums import multiplying

HOSTILE = '<script>alert("1")</script>&"\u202e'
RUNNING = Progress(stage="readings", done=12, total=100, fraction=0.12, seconds_left=240)


def page(made: Study, show: Show = "all", start: int = 0) -> BeautifulSoup:
    html = templating.render("studies/study.html", StudyPage(study_page(made, show, start), READY))
    return BeautifulSoup(html, "html.parser")


def said(made: Study) -> str:
    return " ".join(sentences(made)).replace("\u202f", " ")


@pytest.fixture(scope="module")
def full() -> Study:
    return study(cases(40))


@pytest.fixture(scope="module")
def whole(full: Study) -> BeautifulSoup:
    return page(full)


def test_each_statistic_stands_at_and_before_the_digit(whole: BeautifulSoup) -> None:
    first = whole.select("#figure-digits .bar-group")[0]
    assert [label.text for label in first.select(".bar-label")] == ["at the digit", "before it"]
    assert first.select_one(".null") and first.select_one(".chance") and first.select_one(".interval")


def test_beside_a_number_stands_the_originals_marked_as_measured_elsewhere(whole: BeautifulSoup) -> None:
    words = [p.text.replace("\u202f", " ") for p in whole.select(".original-words")]
    assert words == [
        "The original study: 90.5 % against 15 % by chance.",
        "The original study: 64 % against 8 % by chance.",
        "The original study: 0.7 % against 8 % by chance.",
    ]
    assert "Qwen2.5-7B, K = 20" in one(whole, "#figure-digits .bar-keys").text
    assert "about 5 %" in one(whole, "#figure-edits > .aside").text.replace("\u202f", " ")


def test_a_bar_is_as_long_as_its_share(full: Study) -> None:
    (figure,) = (figure for figure in bar_figures(full) if figure.id == "digits")
    statistic = full.statistics["at"]["same_digit"]
    bar = figure.groups[0].bars[0]
    assert statistic.value is not None and statistic.null is not None and statistic.interval is not None
    assert bar.width == pytest.approx(100 * statistic.value, abs=0.01)
    assert bar.interval == pytest.approx([100 * edge for edge in statistic.interval], abs=0.01)
    assert bar.null_at == pytest.approx(100 * (statistic.null.value or 0), abs=0.01)
    assert bar.original == 90.5


def test_every_statistic_is_in_the_table_in_words(full: Study, whole: BeautifulSoup) -> None:
    names = [name_of(name) for found in full.statistics.values() for name in found]
    assert [row.text for row in whole.select(".statistics th[scope=row]")] == names
    assert not any("_" in name for name in names)


def test_the_lens_is_drawn_right_against_wrong_and_is_a_table_too(whole: BeautifulSoup) -> None:
    figure = one(whole, "#figure-lens")
    lines = figure.select("polyline")
    assert [len(str(line["points"]).split()) for line in lines] == [LAYERS, LAYERS]
    rows = figure.select("tbody tr")
    assert len(rows) == LAYERS
    assert [cell.text.replace("\u202f", " ")[:4] for cell in rows[25].select("td")] == ["100 ", "0 % "]
    assert rows[25].th is not None and rows[25].th.text == "25"


def test_the_edits_are_drawn_by_their_strength(whole: BeautifulSoup) -> None:
    figure = one(whole, "#figure-edits")
    assert [row.th.text for row in figure.select("tbody tr") if row.th] == ["0.5", "1", "2", "4"]
    assert len(figure.select("svg")) == 2
    assert len(str(figure.select("polyline")[0]["points"]).split()) == len(ALPHAS)
    assert figure.select_one("path.original")


def test_the_words_are_those_of_the_numbers(full: Study) -> None:
    answers, at = full.statistics["answers"], full.statistics["at"]
    assert f"right answer to {100 * (answers['exact'].value or 0):.0f} %" in said(full)
    assert f"own digit at that place in {100 * (at['same_digit'].value or 0):.0f} %" in said(full)
    assert "more than chance gives" in said(full)
    assert "from layer 24.0 on average where it is right, and from 27.0 where it is wrong" in said(full)


def test_what_chance_can_give_is_not_called_an_effect(full: Study) -> None:
    weak = Statistic(
        value=0.3,
        interval=(0.1, 0.5),
        null=Null(value=0.2, interval=(0.1, 0.3)),
        n=9,
        cases=9,
        p=0.01,
        p_corrected=0.2,
    )
    at = full.statistics["at"] | {"same_digit": weak}
    made = full.model_copy(update={"statistics": {"answers": full.statistics["answers"], "at": {**at}}})
    line = next(line for line in sentences(made) if "own digit" in line)
    assert line.endswith("no more than chance can give.")


def test_readings_without_digits_are_an_honest_null() -> None:
    def silent(made: Case) -> Case:
        empty = {"stated": None, "problem": None, "true": None, "hinted": [], "text": "A list."}
        return made.model_copy(
            update={
                "digits": [
                    digit.model_copy(
                        update={
                            "at": digit.at and digit.at.model_copy(update=empty),
                            "before": digit.before and digit.before.model_copy(update=empty),
                        }
                    )
                    for digit in made.digits
                ]
            }
        )

    made = study([silent(one) for one in cases(20)])
    assert "state no result" in said(made)
    assert "hint the one" not in said(made)
    soup = page(made)
    assert not soup.select("#title-striking") and soup.select("#title-random")
    assert "hints a digit: what this pair's words hold" in soup.text
    assert one(soup, "#figure-lens")


@pytest.mark.parametrize(
    ("show", "count"), [("all", 40), ("right", 16), ("wrong", 24), ("named", 24), ("number", 40)]
)
def test_the_table_is_narrowed_by_its_address(full: Study, show: Show, count: int) -> None:
    soup = page(full, show)
    assert len(soup.select("#cases tbody tr")) == count
    current = one(soup, "#cases .choices [aria-current]")
    assert f"({count})" in current.text


def test_a_wrong_digit_counts_as_named_where_the_words_name_that_digit() -> None:
    made = case(0, (23, 7), "171", 999)  # the 7 is wrong
    silent = [
        d.model_copy(
            update={
                "at": d.at and d.at.model_copy(update={"hinted": ["6"]}),
                "before": d.before and d.before.model_copy(update={"hinted": []}),
            }
        )
        for d in made.digits
    ]
    soup = page(study([made, made.model_copy(update={"number": 1, "digits": silent})]), "named")
    assert "(1)" in one(soup, "#cases .choices [aria-current]").text


def test_wrong_digits_are_marked_and_the_right_product_stands_beside(whole: BeautifulSoup) -> None:
    made = study([case(0, (23, 7), "171", 200), *cases(5)])
    row = page(made).select("#cases tbody tr")[0]
    assert [mark.text for mark in row.select(".is-wrong")] == ["7"]
    assert [cell.text.strip() for cell in row.select("td")[1:4]] == ["161", "200", "–"]


def test_a_long_table_has_pages() -> None:
    made = study(cases(LISTED + 5))
    first, second = page(made), page(made, start=LISTED)
    assert len(first.select("#cases tbody tr")) == LISTED and len(second.select("#cases tbody tr")) == 5
    assert one(first, "#cases [rel=next]")["href"] == f"/s/study1?start={LISTED}#cases"
    assert one(second, "#cases [rel=prev]")["href"] == "/s/study1#cases"


def test_four_cases_are_striking_and_four_are_chosen_by_the_seed(full: Study, whole: BeautifulSoup) -> None:
    cards = whole.select(".study-cards")
    assert [len(each.select(".study-card")) for each in cards] == [4, 4]
    assert page(full).select(".study-cards")[1] == cards[1]
    assert all("is-wrong" in str(each) for each in cards[0].select("h3"))


def test_hostile_texts_stay_texts() -> None:
    made = case(0, (23, 7), "161", 161, error=HOSTILE)
    digit = made.digits[0]
    assert digit.at is not None
    evil = digit.at.model_copy(update={"text": HOSTILE, "token": HOSTILE, "url": "javascript:alert(1)"})
    made = made.model_copy(
        update={"label": HOSTILE, "reply": HOSTILE, "digits": [digit.model_copy(update={"at": evil})]}
    )
    soup = page(study([made], title=HOSTILE, notes=[HOSTILE], status="failed", error=HOSTILE))
    assert not [tag for tag in soup.find_all("script") if not tag.get("src")]
    assert not [a for a in soup.select("a[href]") if str(a["href"]).startswith("javascript")]
    assert "\u202e" not in str(soup)


def test_one_at_work_has_a_stream_and_reloads_without_scripts() -> None:
    soup = page(study(cases(12), status="running", progress=RUNNING), "wrong")
    assert one(soup, "#stream")["hx-sse:connect"] == "/s/study1/stream?show=wrong"
    assert soup.select_one("noscript meta[http-equiv=refresh]")
    assert "12 of 100" in " ".join(one(soup, "#status").text.split())
    assert soup.text.count("So far, over 12 of 100: the model gives") == 1


def test_one_without_cases_yet_is_a_page() -> None:
    soup = page(study([], status="queued", progress=Progress(stage="queued")))
    assert "The first figures come with the first cases." in soup.text
    assert not soup.select("svg")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_one_that_stopped_can_be_continued(status: Any) -> None:
    soup = page(study(cases(5), status=status, error="The pair is gone."))
    assert one(soup, "#status form")["action"] == "/s/study1/continue"
    assert "The pair is gone." in one(soup, "#status").text


def test_an_open_page_is_sent_what_has_changed() -> None:
    sent = OpenStudy("all", 0)
    before = study(cases(5), status="running", progress=RUNNING)
    assert sent.fragments(before).count("<hx-partial") == 3
    assert sent.fragments(before) == ""
    later = before.model_copy(update={"progress": RUNNING.model_copy(update={"done": 13})})
    html = sent.fragments(later)
    assert html.count("<hx-partial") == 1 and 'hx-target="#status"' in html


def test_a_study_of_prompts_has_its_measures_and_readings() -> None:
    request = PromptsRequest(
        kind="prompts", prompts=["a", "b"], measures={"held": "fve", "first": "lens", "named": "names_token"}
    )
    readings = [
        ReadingResult(
            position=2,
            token=" x",
            url="/a/b?t=2",
            text=f"{n}",
            measures={"held": 0.5, "first": 12.0, "named": n % 2},
        )
        for n in range(6)
    ]
    made = [
        Case(number=n, label=f"prompt {n}", analysis="b", url="/a/b", readings=[r])
        for n, r in enumerate(readings)
    ]
    found = prompts_figures.figures(made, request)
    doc = study([]).model_copy(
        update={"kind": "prompts", "request": request, "cases": made, "statistics": found.statistics}
    )
    soup = page(doc)
    assert [label.text for label in soup.select("#figure-measures .bar-label")] == ["held", "named"]
    assert "first: 12.00 on average" in said(doc)
    assert len(soup.select("#cases tbody tr")) == 6
    assert [a.text for a in soup.select("#cases .choices a")] == ["all (6)"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"problems": "0"}, "problems"),
        ({"problems": "many"}, "problems"),
        ({"first_low": "99", "first_high": "20"}, "first"),
        ({"second_high": "123456"}, "second"),
        ({"template": "What is it?"}, "template"),
        ({"edit_alphas": "1, two"}, "edit_alphas"),
        ({"seed": "-1"}, "seed"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(fields: dict[str, str], place: str) -> None:
    with pytest.raises(FormError) as caught:
        forms.request(forms.StudyForm(**fields))  # type: ignore[arg-type]
    assert set(caught.value.errors) == {place}


def test_the_form_asks_for_what_is_typed() -> None:
    asked = forms.request(
        forms.StudyForm(problems="7", template="{a} times {b}?", causal="1", edit_alphas="1; 2,4", seed="3")
    )
    assert (asked.problems, asked.template, asked.causal, asked.edit_alphas, asked.seed) == (
        7, "{a} times {b}?", True, [1, 2, 4], 3,
    )  # fmt: skip
    assert forms.request(forms.StudyForm()).template is None


@pytest.fixture
def source() -> FakeSource:
    """A pair that multiplies."""
    return multiplying()


async def start(client: httpx.AsyncClient, **more: str) -> httpx.Response:
    fields = {
        "problems": "4", "first_low": "20", "first_high": "99", "second_low": "2", "second_high": "9",
        "seed": "0", "pair": "", "template": "", "edit_alphas": "",
    }  # fmt: skip
    return await client.post(
        "/studies",
        content=urlencode(fields | more),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )


def measured(value: float, p: float, n: int = 20) -> Statistic:
    """A share beside a tenth by chance."""
    null = Null(value=0.1, interval=(0.0, 0.2))
    return Statistic(
        value=value, interval=(value - 0.1, value + 0.1), null=null, n=n, cases=20, p_corrected=p
    )


def test_a_study_of_capitals_says_whether_the_capital_is_carried_over() -> None:
    found = {
        "answers": {"says_the_capital": measured(0.6, 0.001)},
        "country": {"names_country": measured(0.5, 0.001), "names_capital": measured(0.1, 1.0)},
        "edits_country": {
            "carries_over_replaced": measured(0.3, 0.01, n=12),
            "carries_over_at_0.5": measured(0.4, 0.2, n=12),
        },
    }
    told = said(
        study([]).model_copy(
            update={"kind": "capitals", "cases": cases(20), "statistics": found, "status": "done"}
        )
    )
    assert told == (
        "The model says the capital of 60 % (50 to 70 %) of 20 countries. Readings at the country name the country in "
        "50 % (40 to 60 %), against 10 % in readings of other countries (more than chance gives), and its capital in "
        "10 % (0 to 20 %), against 10 % (no more than chance can give). Readings at the country, with another country "
        "in their words and steering at α = 0.5, the way that does most, make the model say the other capital in 40 % "
        "(30 to 50 %) of 12 edits, against 10 % after random directions of the same angle: no more than chance can "
        "give."
    )


def test_the_table_of_capitals_tells_what_each_edit_did() -> None:
    def edit(outcome: Literal["other", "own"], first: str, alpha: float | None) -> WordEdit:
        return WordEdit(
            position=4, where="country", alpha=alpha, other="Spain", intended="Madrid", first=first, outcome=outcome,
            prob=0.5, random_prob=0.1, random_hits=[], unedited=False, kl=1.0, url=f"/a/b?t=4&e={outcome}",
        )  # fmt: skip

    done = [
        Case(
            number=0,
            label="France",
            exact=True,
            edits=[edit("other", " Madrid", None), edit("own", " Paris", 1)],
        ),
        Case(
            number=1,
            label="Peru",
            exact=True,
            edits=[edit("own", " Lima", None), edit("other", " Madrid", 1)],
        ),
        Case(number=2, label="Chad", exact=False),
    ]
    made = study([]).model_copy(update={"kind": "capitals", "cases": done, "status": "done"})
    soup = page(made)
    cells = [" ".join(row.select("td")[1].text.split()) for row in soup.select("#cases tbody tr")]
    assert cells == ["Spain: “·Madrid” ✓ its capital", "Spain: “·Lima”", "–"]
    assert [a["href"] for a in soup.select("#cases td a")] == ["/a/b?t=4&e=other", "/a/b?t=4&e=own"]
    assert [a.text for a in soup.select("#cases .choices a")] == [
        "all (3)", "right (2)", "wrong (1)", "another country brings its capital (1)",
    ]  # fmt: skip
    assert [row.label for row in cases_page.cases(made, "carried").rows] == ["France"]


def test_a_study_of_languages_says_whether_the_written_one_is_named() -> None:
    found = {
        "readings": {"names_a_language": measured(0.5, 1.0, n=80), "names_the_language": measured(0.4, 0.01)},
        "languages": {"names_French": measured(0.6, 0.01), "names_German": measured(0.2, 0.9)},
    }
    made = study([]).model_copy(
        update={"kind": "languages", "cases": cases(6), "statistics": found, "status": "done"}
    )
    assert said(made) == (
        "Of 80 readings, 50 % (40 to 60 %) name one of the languages of the transcripts. The language that is written "
        "where they are is named by 40 % (30 to 50 %), against 10 % when the readings are moved along their "
        "transcript: more than chance gives. Taken one by one, it is named more than chance gives where it is French."
    )


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"count": "1"}, "count"),
        ({"kind": "languages", "count": "0"}, "count"),
        ({"count": "many"}, "count"),
        ({"seed": "-1"}, "seed"),
        ({"kind": "rivers"}, "form"),
    ],
)
def test_what_is_wrong_with_a_built_in_study_is_said_beside_its_field(
    fields: dict[str, str], place: str
) -> None:
    with pytest.raises(FormError) as caught:
        built_in_form.request(built_in_form.BuiltInForm(**fields))  # type: ignore[arg-type]
    assert set(caught.value.errors) == {place}


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "count"), [("capitals", "2"), ("languages", "30")])
async def test_the_smaller_studies_are_started_by_forms_of_their_own(
    client: httpx.AsyncClient, kind: str, count: str
) -> None:
    soup = BeautifulSoup((await client.get("/studies")).text, "html.parser")
    form = next(f for f in soup.select("form.built-in") if one(f, "[name=kind]")["value"] == kind)
    typed = {str(i["name"]): str(i["value"]) for i in form.select("input")} | {"count": count}
    headers = {"content-type": "application/x-www-form-urlencoded"}
    began = await client.post(str(form["action"]), content=urlencode(typed), headers=headers)
    assert began.status_code == 303
    address = began.headers["location"]
    assert "event: done" in (await client.get(f"{address}/stream")).text
    study = (await client.get(f"/api/studies/{address.rpartition('/')[2]}")).json()
    assert (study["kind"], study["request"][built_in_form.COUNTS[kind]]) == (kind, int(count))
    wrong = await client.post(
        str(form["action"]), content=urlencode(typed | {"count": "-1"}), headers=headers
    )
    assert wrong.status_code == 422
    back = BeautifulSoup(wrong.text, "html.parser")
    assert one(back, f"#{kind}-count")["value"] == "-1"
    assert one(back, f"#error-{kind}-count").text.strip()


@pytest.mark.anyio
async def test_two_who_look_at_a_study_alike_share_what_renders_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[OpenStudy] = []

    class Counted(OpenStudy):
        def __init__(self, show: Show, start: int) -> None:
            super().__init__(show, start)
            made.append(self)

    monkeypatch.setattr(stream, "OpenStudy", Counted)
    address = (await start(client)).headers["location"]
    views = ("", "", "?show=wrong")
    answers = await asyncio.gather(*(client.get(f"{address}/stream{view}") for view in views))
    assert all(answer.text.endswith("event: done\ndata: {}\n\n") for answer in answers)
    assert len(made) == 2


@pytest.mark.anyio
async def test_a_study_is_started_followed_and_listed(client: httpx.AsyncClient) -> None:
    address = (await start(client)).headers["location"]
    sent = (await client.get(f"{address}/stream")).text
    assert "event: done" in sent and 'hx-target="#findings"' in sent
    soup = BeautifulSoup((await client.get(address)).text, "html.parser")
    assert len(soup.select("#cases tbody tr")) == 4
    assert not soup.select("[hx-sse\\:connect]")
    listed = BeautifulSoup((await client.get("/studies")).text, "html.parser")
    assert one(listed, ".listing a")["href"] == address
    assert "4 problems" in one(listed, ".listing .meta").text
    for link in soup.select(".exports a"):
        assert (await client.get(str(link["href"]))).status_code == 200
    first = str(soup.select("#cases tbody th a")[0]["href"])
    assert (await client.get(first)).status_code == 200


@pytest.mark.anyio
async def test_a_wrong_form_comes_back_with_what_was_typed(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    answer = await start(client, problems=str(settings.max_cases + 1), edit_alphas="1")
    soup = BeautifulSoup(answer.text, "html.parser")
    assert answer.status_code in (400, 422)
    field = one(soup, "#f-problems")
    assert (field["value"], field["aria-invalid"], field["max"]) == ("1001", "true", "1000")
    assert "NLA_MAX_CASES" in one(soup, "#error-problems").text
    assert one(soup, ".settings details.more").has_attr("open")


@pytest.mark.anyio
async def test_one_can_be_stopped_continued_and_deleted(app: FastAPI, client: httpx.AsyncClient) -> None:
    address = (await start(client)).headers["location"]
    assert (await client.post(f"{address}/cancel")).headers["location"] == address
    assert (await client.post(f"{address}/continue")).headers["location"] == address
    await client.get(f"{address}/stream")
    assert (await client.post(f"{address}/delete")).headers["location"] == "/studies"
    gone = await client.get(address, headers={"accept": "text/html"})
    assert gone.status_code == 404 and "There is no study" in gone.text
    assert (await client.get(f"{address}/stream")).status_code == 404


@pytest.mark.anyio
async def test_the_library_is_not_flooded_with_what_a_study_made(client: httpx.AsyncClient) -> None:
    async def library(query: str = "") -> BeautifulSoup:
        return BeautifulSoup((await client.get(f"/library{query}")).text, "html.parser")

    address = (await start(client)).headers["location"]
    await client.get(f"{address}/stream")
    bare = await library()
    assert not bare.select(".listing li") and "0 analyses; 4 more of studies" in bare.text
    assert "Nothing fits." in bare.text
    everything = await library("?studies=1")
    assert [str(a["href"]) for a in everything.select(".listing .meta a")] == [address] * 4
    assert one(everything, "[name=studies]").has_attr("checked")
    home = BeautifulSoup((await client.get("/")).text, "html.parser")
    assert not home.select(".listing li")

    id = (await client.get("/api/analyses")).json()[0]["id"]
    request = (await client.get(f"/api/analyses/{id}")).json()["request"]
    assert (await client.post("/api/analyses", json=request)).status_code == 200
    listed = (await client.get("/api/analyses?studies=false")).json()
    assert [(each["id"], each["study"]) for each in listed] == [(id, None)]  # somebody asked for it

    await client.post(f"{address}/delete")
    assert len((await library()).select(".listing li")) == 4
