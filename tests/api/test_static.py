"""Scripts and styles on the wire."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from frontend.templating import asset

pytestmark = pytest.mark.anyio


async def test_scripts_are_sent_compressed_and_are_what_the_page_expects(client: httpx.AsyncClient) -> None:
    script = asset("vendor/plot.min.js")
    answer = await client.get(script.url, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert script.url.endswith(hashlib.sha256(answer.content).hexdigest()[:12])


async def test_who_takes_no_compression_gets_none(client: httpx.AsyncClient) -> None:
    answer = await client.get(asset("styles/base.css").url, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
