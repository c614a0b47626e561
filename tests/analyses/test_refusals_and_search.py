from __future__ import annotations

import pytest
from fastapi import FastAPI

from server.analyses.schema import AnalysisRequest
from server.errors import BadInput
from tests.analyses.asking import analyses_of, chat, finish

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("request_", "field", "detail"),
    [
        (chat(pair="nobody"), "pair", "no pair named 'nobody'"),
        (chat(pair="elsewhere"), "pair", "--pair elsewhere"),
        (chat("x" * 3000), "messages", "3,003 tokens long; this server takes up to 2,000"),
        (chat("x" * 200_000), "messages", "200,000 letters"),
        (AnalysisRequest(text="x" * 2001), "text", "2,001 tokens"),
        (chat("a", positions=[0, 1, 4]), "positions.2", "no position 4: the prompt ends at 3"),
        (
            chat("a", positions=[9, 0], generate={"max_new_tokens": 5}),
            "positions.0",
            "the longest reply at 8",
        ),
        (chat(positions="generated"), "positions", "no reply to read"),
        (chat(generate={"max_new_tokens": 513}), "generate.max_new_tokens", "more than the 512"),
        (chat(verbalise={"max_new_tokens": 401}), "verbalise.max_new_tokens", "more than the 400"),
        (chat(verbalise={"samples": 9}), "verbalise.samples", "more than the 8"),
        (
            AnalysisRequest.model_validate({"messages": [{"role": "wizard", "content": "a"}]}),
            "messages.0.role",
            "wizard",
        ),
    ],
)
async def test_what_is_not_taken_names_the_field(
    app: FastAPI, request_: AnalysisRequest, field: str, detail: str
) -> None:
    with pytest.raises(BadInput) as caught:
        await analyses_of(app).create(request_)
    assert caught.value.field == field
    assert detail in caught.value.detail
    assert await analyses_of(app).recent() == []


async def test_search_finds_words_of_prompt_reply_and_readings(app: FastAPI) -> None:
    analyses = analyses_of(app)
    cats = await finish(analyses, chat("Katzen in Zürich 100%", generate={}))
    await finish(analyses, chat("dogs"))

    async def found(q: str) -> list[str]:
        return [summary.id for summary in await analyses.recent(q=q)]

    assert await found("zÜRICH katzen") == [cats.id]
    assert await found("100%") == [cats.id]
    assert await found("1%0") == []
    assert await found("yes") == [cats.id]
    assert await found(cats.readings[3].text.split()[-1]) == [cats.id]
    assert await found("katzen dogs") == []
    assert len(await found("")) == 2


async def test_the_library_tells_title_and_counts(app: FastAPI) -> None:
    await finish(analyses_of(app), chat("Why do\n cats  purr" + " so" * 50))
    (summary,) = await analyses_of(app).recent()
    assert summary.title.startswith("Why do cats purr so so")
    assert summary.title.endswith("…")
    assert len(summary.title) <= 80
    assert (summary.tokens, summary.readings, summary.status) == (171, 171, "done")
    assert summary.url == f"/a/{summary.id}"
