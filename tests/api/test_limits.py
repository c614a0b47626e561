"""What a server says that it takes is what it takes."""

from __future__ import annotations

import httpx
import pytest

from server.api.limits import Limits
from server.settings import Settings
from tests.api.test_bad_input import problem
from tests.conftest import client_of, running
from tests.fakes import FakeSource

pytestmark = pytest.mark.anyio


async def test_every_bound_of_the_settings_is_published(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    told = (await client.get("/api/limits")).json()
    assert told == {name: value for name, value in settings.model_dump().items() if name.startswith("max_")}
    assert set(told) == set(Limits.model_fields)


@pytest.mark.parametrize(
    ("field", "path", "body"),
    [
        ("max_prompt_tokens", "/api/analyses", {"text": "x"}),
        ("max_reply_tokens", "/api/analyses", {"text": "a", "generate": {"max_new_tokens": 1}}),
        ("max_reading_tokens", "/api/analyses", {"text": "a", "verbalise": {"max_new_tokens": 1}}),
        ("max_samples", "/api/analyses", {"text": "a", "verbalise": {"samples": 1}}),
        (
            "max_cases",
            "/api/studies",
            {"kind": "multiplication", "factors": [[20, 99], [2, 9]], "problems": 1},
        ),
    ],
)
async def test_as_much_is_taken_and_one_more_is_not(
    settings: Settings, field: str, path: str, body: dict[str, object]
) -> None:
    low = settings.model_copy(update={field: 3})

    def sized(size: int) -> dict[str, object]:
        text = {"text": "x" * size} if field == "max_prompt_tokens" else {}
        asked = {
            key: dict.fromkeys(value, size) if isinstance(value, dict) else value
            for key, value in body.items()
        }
        return asked | text | ({"problems": size} if "problems" in body else {})

    async with running(low, FakeSource()) as app, client_of(app) as client:
        bound = (await client.get("/api/limits")).json()[field]
        assert bound == 3
        assert (await client.post(path, json=sized(bound))).status_code == 202
        problem(await client.post(path, json=sized(bound + 1)), 422)
