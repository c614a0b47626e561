"""No answer is longer than it may be, nothing is lost on the way, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mcp import Client

from server.mcp.answers import LIMIT, LONG_TEXT
from tests.api.test_analyses import done
from tests.fakes import FakePair, text_of
from tests.mcp.asking import call, refusal

pytestmark = pytest.mark.anyio
LONG = "cats purr " * 120


async def pages(asker: Client, tool: str, items: str, **arguments: Any) -> list[Any]:
    """All entries, page by page; each page fits."""
    found: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        result = await asker.call_tool(tool, {**arguments, "offset": offset})
        assert not result.is_error and result.structured_content is not None
        (text,) = [getattr(block, "text", "") for block in result.content]
        assert len(text) <= LIMIT
        page = result.structured_content
        found += page[items]
        offset = page.get("next")
        assert offset in (None, len(found))
        assert ("more" in page.get("note", "")) is (offset is not None)
    assert page["total"] == len(found)
    return found


async def test_a_long_text_comes_in_pages(app: FastAPI, asker: Client, client: httpx.AsyncClient) -> None:
    api = await done(app, client, {"text": LONG, "positions": list(range(0, 1200, 6))})
    id = api["id"]
    asked = {"text": LONG, "positions": list(range(0, 1200, 6))}
    rows = await pages(asker, "analyse", "tokens", **asked)
    assert "".join(row[1] for row in rows) == LONG
    places = await pages(asker, "read_positions", "places", analysis=id)
    assert [place["position"] for place in places] == list(range(len(LONG)))
    said = {r["position"]: r["text"] for r in api["readings"]}
    assert {p["position"]: p["readings"][0]["text"] for p in places if p["readings"]} == said
    matches = await pages(asker, "find_in_readings", "matches", analysis=id, words="says")
    assert [match["position"] for match in matches] == [r["position"] for r in api["readings"]]
    seen = await pages(asker, "lens_of_word", "seen", analysis=id, word=["A", "B", "C"])
    cells = [(p, t) for row in api["lens"]["top"] for p, cell in enumerate(row) for _, t, _ in cell]
    assert len(seen) == len({(p, t) for p, t in cells if t in "ABC"})


async def test_a_long_reading_is_cut_and_says_so(
    app: FastAPI, asker: Client, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.text_of", lambda *given: "blah " * 500 + text_of(*given))
    made = await call(
        asker, "analyse", text="cats", verbalise={"samples": 8, "max_new_tokens": 400}, wait_seconds=60
    )
    places = await pages(asker, "read_positions", "places", analysis=made["id"])
    assert len(places) == 4
    for place in places:
        for reading in place["readings"]:
            assert len(reading["text"]) < LONG_TEXT + 50 and "more characters" in reading["text"]


async def test_a_library_comes_in_pages(app: FastAPI, asker: Client, client: httpx.AsyncClient) -> None:
    for n in range(7):
        await done(app, client, {"text": f"{n} " + "long words " * 20, "positions": [0]})
    found: list[str] = []
    before = ""
    while len(found) < 7:
        page = await call(asker, "list_analyses", limit=3, before=before)
        found += [line["id"] for line in page["analyses"]]
        before = page.get("before", "")
    assert len(set(found)) == 7 and before == ""


@pytest.fixture
async def id(app: FastAPI, client: httpx.AsyncClient) -> str:
    """A finished analysis of nine tokens."""
    found: str = (await done(app, client, {"text": "cats purr"}))["id"]
    return found


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("analyse", {}, "messages: Give either messages (a chat) or text"),
    ("analyse", {"text": "a", "messages": [{"role": "user", "content": "b"}]}, "messages: Give either"),
    ("analyse", {"text": "a", "system": "b"}, "system: Raw text has no system prompt"),
    ("analyse", {"text": "a", "txet": "b"}, "txet: analyse has no such argument. It has messages, text"),
    ("analyse", {"text": "x" * 3000}, "text: The prompt is 3,000 tokens long; this server takes up to"),
    ("analyse", {"messages": [{"role": "wizard", "content": "a"}]}, "messages.0.role: "),
    ("analyse", {"messages": [{"role": "user", "content": ""}]}, "messages.0.content: "),
    ("analyse", {"text": "a", "positions": "some"}, "positions: "),
    ("analyse", {"text": "a", "positions": [7]}, "positions.0: There is no position 7"),
    ("analyse", {"text": "a", "generate": {"max_new_tokens": 9999}}, "generate.max_new_tokens: 9,999"),
    ("analyse", {"text": "a", "generate": {"tokens": 1}}, "generate.tokens: Extra inputs"),
    ("analyse", {"text": "a", "pair": "other"}, "pair: There is no pair named 'other'"),
    ("analyse", {"text": "a", "wait_seconds": -1}, "wait_seconds: "),
    ("list_analyses", {"before": "nothing"}, "before: There is no analysis 'nothing'"),
    ("list_analyses", {"limit": 0}, "limit: "),
    ("read_positions", {}, "analysis: Field required"),
    ("read_positions", {"analysis": "nothing"}, "There is nothing here: There is no analysis 'nothing'"),
    ("read_positions", {"analysis": "ID", "positions": [99]}, "positions.0: There is no position 99"),
    ("read_positions", {"analysis": "ID", "positions": [1], "end": 2}, "positions: Give either"),
    ("read_positions", {"analysis": "ID", "start": 5, "end": 2}, "end: The range ends at 2"),
    ("read_positions", {"analysis": "ID", "start": 99}, "start: There is no position 99"),
    ("read_positions", {"analysis": "ID", "end": 99}, "end: There is no position 99"),
    ("find_in_readings", {"analysis": "ID", "words": " "}, "words: Give at least one character"),
    ("lens_of_word", {"analysis": "ID", "word": [], "positions": [1]}, "word: Name at least one word"),
    ("lens_of_word", {"analysis": "ID", "word": ["a"] * 7, "positions": [1]}, "word: 7 words"),
    ("lens_of_word", {"analysis": "ID", "word": "a", "positions": [99]}, "positions.0: There is no"),
    ("lens_of_word", {"analysis": "ID", "word": "a", "lens": "tuned"}, "lens: This analysis has no"),
    ("edit_and_patch", {"analysis": "ID", "position": 99, "text": "a"}, "position: There is no position"),
    ("edit_and_patch", {"analysis": "ID", "position": 2, "text": ""}, "text: "),
    ("edit_and_patch", {"analysis": "ID", "position": 2, "text": "a", "alpha": 1e9}, "alpha: "),
    ("edit_and_patch", {"analysis": "ID", "position": 2, "text": "a", "targets": [""]}, "targets.0: "),
    ("edit_and_patch", {"analysis": "ID", "position": 2, "text": "a", "until": 99}, "until: "),
    ("causal_scores", {"analysis": "ID", "horizon": 99}, "horizon: "),
    ("causal_scores", {"analysis": "nothing"}, "There is nothing here: "),
    ("compare", {"a": "ID"}, "b: Give another analysis as b"),
    ("compare", {"a": "ID", "position_a": 99}, "position_a: There is no position 99"),
    ("compare", {"a": "ID", "sample_b": 3}, "sample_b: There is no sample 3"),
]


async def test_what_is_wrong_is_named(asker: Client, id: str) -> None:
    wrongly_told = {}
    for tool, arguments, said in WRONG:
        whole = {name: id if value == "ID" else value for name, value in arguments.items()}
        if said not in (told := await refusal(asker, tool, **whole)):
            wrongly_told[tool, said] = told
    assert wrongly_told == {}


async def test_what_fails_is_told(asker: Client, id: str, pair: FakePair) -> None:
    pair.reconstructor.refused = "dogs"
    said = await refusal(asker, "edit_and_patch", analysis=id, position=2, text="about dogs")
    assert "failed" in said
    pair.reconstructor.refused = None
    assert (await call(asker, "edit_and_patch", analysis=id, position=2, text="about dogs"))["kl"] > 0


async def test_one_that_is_cancelled_is_told(app: FastAPI, asker: Client, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    found = await call(asker, "analyse", text="cats", wait_seconds=0)
    await app.state.analyses.cancel(found["id"])
    said = await refusal(asker, "causal_scores", analysis=found["id"])
    assert "Analyse its text again" in said
    pair.verbaliser.allow()
    assert (await call(asker, "analyse", text="cats"))["status"] == "done"
