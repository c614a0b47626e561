"""The form of a study of prompts: what it asks for, what comes back, and what is refused."""

from __future__ import annotations

import httpx
import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI

from frontend.studies.prompts_form import PromptsForm, request
from frontend.typed_form import FormError
from server.settings import Settings
from server.studies.requests import MultiplicationRequest, PromptsRequest, Rule
from tests.frontend.parsed import one
from tests.studies.sums import studies_of

TABLE = 'country,capital\nFrance,Paris\nPeru,"Lima, of course"\n'
BOMB = "kind: prompts\na: &a [x, x]\nb: &b [*a, *a]\nprompts: [*b, *b]\n"


def asked(**fields: str) -> PromptsRequest:
    found = request(PromptsForm(**fields))  # type: ignore[arg-type]
    assert isinstance(found, PromptsRequest)
    return found


def wrong(**fields: str) -> dict[str, str]:
    with pytest.raises(FormError) as caught:
        request(PromptsForm(**fields))  # type: ignore[arg-type]
    return caught.value.errors


def test_lines_are_prompts_or_fill_a_template() -> None:
    assert asked(text="one\n\n two \n").prompts == ["one", " two "]
    filled = asked(text="one\ntwo", template="Say {prompt}.")
    assert filled.rows == [{"prompt": "one"}, {"prompt": "two"}] and filled.template == "Say {prompt}."


def test_a_table_with_places_and_measures() -> None:
    found = asked(
        text=TABLE, source="csv", template="{country}?", positions="token", place="{country}", reply="4",
        fve="1", lens="1", word="{capital}", expression=r"\d", title=" Capitals ", raw="1", seed="3",
    )  # fmt: skip
    assert found.csv == TABLE and found.positions == Rule(token="{country}") and found.raw
    assert found.measures == {
        "held": "fve",
        "layer of the next token": "lens",
        "says {capital}": Rule(token="{capital}"),
        r"finds \d": Rule(regex=r"\d"),
    }
    assert (found.title, found.seed) == ("Capitals", 3)
    assert found.generate is not None and found.generate.max_new_tokens == 4


def test_a_declaration_says_everything_itself() -> None:
    sums = request(
        PromptsForm(source="yaml", text="kind: multiplication\nproblems: 3\nfactors: [[2, 9], [2, 9]]")
    )
    assert isinstance(sums, MultiplicationRequest) and sums.problems == 3
    assert (
        asked(source="yaml", text="kind: prompts\nprompts: [a]", pair="other", positions="all").pair
        == "other"
    )
    assert asked(source="yaml", text="kind: prompts\nprompts: [a]\npair: own", pair="other").pair == "own"
    assert asked(source="yaml", text="kind: prompts\nrows: [{n: 7, b: no}]").rows == [
        {"n": "7", "b": "False"}
    ]


@pytest.mark.parametrize(
    ("fields", "place", "cure"),
    [
        ({"text": " \n "}, "text", "Type the prompts"),
        ({"text": "a", "positions": "token"}, "place", "at least 1"),
        ({"text": "a", "reply": "many"}, "reply", "integer"),
        ({"text": "a", "seed": "-1"}, "seed", "0"),
        ({"text": "a", "positions": "nowhere"}, "place", ""),
        ({"text": "kind: [", "source": "yaml"}, "text", "is not YAML"),
        ({"text": "- a", "source": "yaml"}, "text", "kind: multiplication"),
        ({"text": "kind: dance", "source": "yaml"}, "text", "multiplication"),
        ({"text": "kind: prompts\nprompts: [a]\nseed: x", "source": "yaml"}, "text", "seed: "),
        ({"text": "kind: prompts\ncsv: table.csv", "source": "yaml"}, "text", "csv: |"),
        ({"text": BOMB, "source": "yaml"}, "text", "Aliases"),
        ({"text": "kind: prompts # " + "x" * 200_000, "source": "yaml"}, "text", "200,000"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(fields: dict[str, str], place: str, cure: str) -> None:
    errors = wrong(**fields)
    assert set(errors) == {place} and cure in errors[place]


async def post(
    client: httpx.AsyncClient, file: tuple[str, bytes] | None = None, **fields: str
) -> httpx.Response:
    """The form as a browser sends it, in parts."""
    parts = {name: (None, value) for name, value in fields.items()}
    return await client.post("/studies/prompts", files={**parts, "file": file or ("", b"")})


def form_of(answer: httpx.Response) -> BeautifulSoup:
    soup = BeautifulSoup(answer.text, "html.parser")
    assert one(soup, ".prompts-form").has_attr("open")
    return soup


@pytest.mark.anyio
async def test_lines_become_a_study(app: FastAPI, client: httpx.AsyncClient) -> None:
    answer = await post(
        client, text="ab\ncd", source="lines", raw="1", positions="last", fve="1", seed="0", reply="0"
    )
    address = answer.headers["location"]
    await client.get(f"{address}/stream")
    study = await studies_of(app).get(address.removeprefix("/s/"))
    assert study.status == "done" and len(study.cases) == 2
    assert [len(case.readings) for case in study.cases] == [1, 1]
    assert "held" in study.statistics["readings"]


@pytest.mark.anyio
async def test_a_file_stands_for_what_was_typed(app: FastAPI, client: httpx.AsyncClient) -> None:
    table = "\ufeff" + TABLE.replace("\n", "\r\n")
    answer = await post(
        client, ("t.CSV", table.encode()), text="typed", source="lines", template="{country}", raw="1"
    )
    study = await studies_of(app).get(answer.headers["location"].removeprefix("/s/"))
    assert isinstance(study.request, PromptsRequest) and study.request.csv == TABLE


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"text": TABLE, "source": "csv"}, "template"),
        ({"text": "a,b\n1\n", "source": "csv"}, "text"),
        ({"text": TABLE, "source": "csv", "template": "no column"}, "template"),
        ({"text": "a", "expression": "("}, "expression"),
        ({"text": "a", "positions": "regex", "place": "["}, "place"),
        ({"text": "a", "reply": "100000"}, "reply"),
        ({"text": "x\n" * 1001}, "text"),
        ({"text": "a", "pair": "nobody"}, "pair"),
    ],
)
async def test_what_the_server_refuses_comes_back_with_what_was_typed(
    client: httpx.AsyncClient, fields: dict[str, str], place: str
) -> None:
    answer = await post(client, **{"source": "lines", "title": '<b>"mine"</b>', **fields})
    assert answer.status_code in (404, 422)
    soup = form_of(answer)
    if place != "pair":  # with one pair there is no choice
        assert one(soup, f"#p-{place}")["aria-invalid"] == "true"
        assert one(soup, f"#error-p-{place}").text
    assert one(soup, "#p-title")["value"] == '<b>"mine"</b>'
    assert one(soup, "#p-text").get_text().strip() == fields["text"].strip()
    assert one(soup, "[name=source][checked]")["value"] == fields.get("source", "lines")


@pytest.mark.anyio
async def test_a_file_that_is_no_text_is_refused(client: httpx.AsyncClient) -> None:
    soup = form_of(await post(client, ("t.csv", b"\xff\xfe"), text="typed", source="csv"))
    assert "UTF-8" in one(soup, "#error-p-text").text
    assert one(soup, "#p-text").get_text().strip() == "typed"


@pytest.mark.anyio
async def test_an_upload_is_bounded(client: httpx.AsyncClient, settings: Settings) -> None:
    large = b"prompt\n" + b"x\n" * settings.max_body_bytes
    assert (await post(client, ("t.csv", large))).status_code == 413
    page = BeautifulSoup((await client.get("/studies")).text, "html.parser")
    most = int(str(one(page, "[data-bytes]")["data-bytes"]))
    assert f"{most:,} bytes" in one(page, ".prompts-form").text
    assert (await post(client, ("t.csv", large[:most]))).status_code == 422  # read, and too many prompts
