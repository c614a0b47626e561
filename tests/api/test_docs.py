from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from bs4 import BeautifulSoup

from server.api.docs import FOLDER
from server.errors import NlaError

pytestmark = pytest.mark.anyio


async def test_the_page_asks_nobody_else_and_its_parts_are_what_they_should_be(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/docs")
    page = BeautifulSoup(answer.text, "html.parser")
    parts = [*page.find_all("script"), *page.find_all("link", rel="stylesheet")]
    assert len(parts) == 3
    for part in parts:
        address = str(part.get("src") or part.get("href"))
        assert not urlsplit(address).netloc
        content = (await client.get(address)).content
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert part["integrity"] == f"sha256-{digest}"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_the_vendored_files_are_those_of_the_package() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    for file in manifest["files"]:
        path: Path = FOLDER / file["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]


async def test_the_description_names_every_address_of_the_design(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    asked = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert {
        ("/api/analyses", "post"),
        ("/api/analyses", "get"),
        ("/api/analyses/{analysis_id}", "get"),
        ("/api/analyses/{analysis_id}", "delete"),
        ("/api/analyses/{analysis_id}/events", "get"),
        ("/api/analyses/{analysis_id}/cancel", "post"),
        ("/api/analyses/{analysis_id}/restore", "post"),
        ("/api/analyses/{analysis_id}/export.json", "get"),
        ("/api/analyses/{analysis_id}/export.csv", "get"),
        ("/api/analyses/{analysis_id}/export.parquet", "get"),
        ("/api/pairs", "get"),
        ("/api/reconstruct", "post"),
        ("/api/verbalise", "post"),
        ("/api/score", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    } <= asked


async def test_every_problem_that_the_api_may_answer_is_described(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    statuses = {error.status for error in every(NlaError)} | {400, 405, 422}
    shape = {"$ref": "#/components/schemas/Problem"}
    for path, operations in described["paths"].items():
        for operation in operations.values() if path.startswith("/api/") else ():
            for status in statuses:
                content = operation["responses"][str(status)]["content"]
                assert content == {"application/problem+json": {"schema": shape}}
    found = (await client.post("/api/analyses", json={"text": ""})).json()
    problem = described["components"]["schemas"]["Problem"]
    assert found.keys() == problem["properties"].keys()
    errors = problem["properties"]["errors"]
    assert errors["maxItems"] == 20
    named = described["components"]["schemas"][errors["items"]["$ref"].rpartition("/")[2]]
    assert found["errors"][0].keys() == named["properties"].keys()
    assert "HTTPValidationError" not in json.dumps(described)


def every(kind: type[NlaError]) -> Iterator[type[NlaError]]:
    """A class of errors and all that are made of it."""
    yield kind
    for narrower in kind.__subclasses__():
        yield from every(narrower)
