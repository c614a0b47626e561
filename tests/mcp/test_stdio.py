"""`nla-explorer mcp`: the protocol on stdin and stdout of a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from server import cli
from tests.fakes import FakeSource
from tests.mcp.asking import call, refusal

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def child(data_dir: Path, **environment: str) -> AsyncIterator[Client]:
    """A client of a process on fake models."""
    arguments = ["-m", "tests.api.serving", "mcp", "--pair", "fake", "--data-dir", str(data_dir)]
    environment = {"OMP_NUM_THREADS": "1", "FAKE_READINGS": "100", **environment}
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=ROOT)
    async with Client(parameters) as client:
        yield client


@pytest.mark.anyio
async def test_an_agent_asks_a_process_of_its_own(tmp_path: Path) -> None:
    told: list[str | None] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with child(tmp_path) as client:
        result = await client.call_tool("analyse", {"text": "cats purr"}, progress_callback=tell)
        assert not result.is_error and result.structured_content is not None
        found = result.structured_content
        assert (found["status"], found["read"]) == ("done", 9) and told
        assert found["permalink"] == f"http://127.0.0.1:8000/a/{found['id']}"
        causal = await call(client, "causal_scores", analysis=found["id"])
        assert causal["content"]["reading"]["n"] == 8
        edit = await call(client, "edit_and_patch", analysis=found["id"], position=3, text="dogs")
        assert edit["kl"] > 0
        assert "position: There is no" in await refusal(
            client, "edit_and_patch", analysis=found["id"], position=99, text="dogs"
        )
    async with child(tmp_path) as client:  # what was computed is kept, and the models are waited for
        lens = await call(client, "lens_of_word", analysis=found["id"], word="x", positions=[2])
        assert lens["at"][0]["words"][0]["output_prob"] > 0
        again = await call(client, "analyse", text="cats purr")
        assert (again["id"], again["existed"]) == (found["id"], True)


@pytest.mark.anyio
async def test_a_pair_that_is_refused_is_told_to_the_agent(tmp_path: Path) -> None:
    async with child(tmp_path, FAKE_REFUSED="injection_scale is missing: add it") as client:
        first = await client.call_tool("analyse", {"text": "cats"})
        text = "".join(getattr(block, "text", "") for block in first.content)
        assert "injection_scale is missing: add it" in text
        assert (await call(client, "pairs"))["pairs"][0]["state"] == "failed"


def test_stdout_carries_the_protocol_alone(tmp_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "pairs", "arguments": {}}}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.api.serving", "mcp", "--pair", "fake", "--data-dir", str(tmp_path)],
        input="".join(json.dumps(message) + "\n" for message in (hello, ready, asked)),
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0]["result"]["serverInfo"]["name"] == "nla-explorer"
    assert "Traceback" not in done.stderr


def test_without_the_package_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["mcp", "--data-dir", str(tmp_path)]) == 1
    assert "uv sync --extra mcp" in capsys.readouterr().err


def test_a_data_directory_that_is_a_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server.in_process.Catalogue", lambda settings: FakeSource())
    (tmp_path / "file").touch()
    assert cli.main(["mcp", "--data-dir", str(tmp_path / "file")]) == 1
    assert "cannot be the data directory: it is a file" in capsys.readouterr().err
