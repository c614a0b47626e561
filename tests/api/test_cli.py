from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import cli, cli_pairs, in_process
from server.errors import CheckpointError
from tests.fakes import FakeSource

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain_environment: None) -> FakeSource:
    """In place of the catalogue."""
    source = FakeSource()
    for module in (in_process, cli_pairs):
        monkeypatch.setattr(module, "Catalogue", lambda settings: source)
    for name, value in (("XDG_DATA_HOME", tmp_path / "share"), ("NLA_PAIR", "fake")):
        monkeypatch.setenv(name, str(value))
    return source


@pytest.fixture
def file_limits() -> Iterator[tuple[int, int]]:
    """Limits of open files of this process (soft, hard), which are restored."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limits
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_server_asks_for_more_open_files_and_never_for_fewer(file_limits: tuple[int, int]) -> None:
    _, hard = file_limits
    most = cli.FILES if hard == resource.RLIM_INFINITY else min(cli.FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, most), hard))
    cli.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cli.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_pairs(source: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pairs", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert {"name", "target_path", "av_path", "ar_path", "layer", "d_model"} <= set(first)
    assert (first["name"], second["layer"]) == ("fake", None)
    assert cli.main(["pairs"]) == 0
    assert "not on disk yet" in capsys.readouterr().out


def test_a_pair_is_checked(source: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pairs", "check", "fake"]) == 0
    assert capsys.readouterr().out.split() == ["files", "ok", "all", "there"]
    assert cli.main(["pairs", "check"]) == 1


def test_a_check_that_fails_is_told_by_its_name(
    source: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    source.errors["fake"] = CheckpointError("it is silent: add it", check="scale")
    assert cli.main(["pairs", "check", "fake", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["ok"]) == ("fake", False)
    assert said["checks"][1:] == [
        {"check": "scale", "ok": False, "detail": "it is silent: add it"},
        {"check": "layer", "ok": None, "detail": "not looked at, since scale failed"},
    ]


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert cli.main(["pairs", "plan", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("plain_environment")
def test_a_plan_for_other_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(capsys, "qwen2.5-7b-l20", "--gpus", "80,80", "--precision", "av=fp8")
    assert {role: model["kind"] for role, model in told["models"].items()} == {
        "av": "fp8",
        "target": "bf16",
        "ar": "bf16",
    }
    assert [device["total"] for device in told["devices"]] == [80 * 2**30] * 2


@pytest.mark.usefixtures("plain_environment")
def test_a_plan_of_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    told = {pair["name"]: pair for pair in planned(capsys, "--gpus", "48")}
    assert "models" in told["qwen2.5-7b-l20"]
    assert "needs 366.4 GiB" in told["llama3.3-70b-l53"]["error"]


@pytest.mark.usefixtures("plain_environment")
def test_a_plan_that_does_not_fit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pairs", "plan", "qwen2.5-7b-l20", "--gpus", "24"]) == 1
    assert "It would fit with NLA_PRECISION=" in capsys.readouterr().err


def test_analyse_prints_what_the_api_answers(source: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["analyse", "cats", "--json", "--reply", "3"]) == 0
    body: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert body["status"] == "done"
    assert len(body["tokens"]) == len(body["readings"]) == 10
    assert body["lens"]["layers"] == [0, 1, 2]


def test_analyse_measures_what_each_reading_undoes(
    source: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["analyse", "--raw", "cats purr", "--causal"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"4\s+' '\s+holds 100%\s+cos 1.00\s+undoes 100%\s+sample 0 says", lines[4])
    assert "reading: undoes 100% of what the mean activation breaks" in lines[-5]
    assert cli.main(["analyse", "--raw", "cats purr", "--causal", "--json"]) == 0
    (measured,) = json.loads(capsys.readouterr().out)["measurements"]
    assert len(measured["scores"]) == 9


def test_analyse_prints_a_line_for_each_position(
    source: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["analyse", "--raw", "cats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert re.search(r"0\s+'c'\s+holds 100%\s+cos 1.00\s+sample 0 says", lines[0])


@pytest.mark.parametrize("text", ["", "x" * 3000, "\udcff"])
def test_analyse_says_what_is_wrong(
    source: FakeSource, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert cli.main(["analyse", text]) == 1
    assert "nla-explorer: " in capsys.readouterr().err


def test_a_checkpoint_that_is_refused(source: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    source.errors["fake"] = CheckpointError("the marker occurs twice: wrong tokenizer")
    assert cli.main(["analyse", "cats"]) == 1
    assert "the marker occurs twice" in capsys.readouterr().err


def test_backup_and_restore(source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "backup"
    assert cli.main(["backup", str(file)]) == 1
    cli.main(["analyse", "cats"])
    assert cli.main(["backup", str(file)]) == 0
    other = tmp_path / "other"
    assert cli.main(["restore", str(file), "--data-dir", str(other)]) == 0
    source.pair = FakeSource().pair
    assert cli.main(["analyse", "cats", "--data-dir", str(other)]) == 0
    assert source.pair.target.traced == []


def test_a_library_is_copied_into_another_database(
    source: FakeSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["copy"]) == 1
    assert "Set NLA_DATABASE_URL" in capsys.readouterr().err
    cli.main(["analyse", "cats"])
    source.pair = FakeSource().pair
    monkeypatch.setenv("NLA_DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    assert cli.main(["copy", "--data-dir", str(tmp_path / "nothing")]) == 1
    assert "There is no database" in capsys.readouterr().err
    assert cli.main(["copy"]) == 0
    assert cli.main(["analyse", "cats"]) == 0
    assert source.pair.target.traced == []


def test_off_loopback_a_token_is_demanded(source: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--host", "0.0.0.0"]) == 1
    assert "NLA_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["analyse", "hi"]], ids=lambda c: c[0])
def test_a_data_directory_that_is_a_file_is_named(
    source: FakeSource, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert cli.main([*command, "--data-dir", str(tmp_path / "file")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nla-explorer: {tmp_path / 'file'} cannot be the data directory: it is a file.")


def test_a_setting_that_is_not_json_is_named(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NLA_VLLM_OPTIONS", "{0.5}")
    assert cli.main(["pairs"]) == 1
    error = capsys.readouterr().err
    assert "vllm_options" in error
    assert "line 1 column 2" in error


def test_settings_that_are_wrong_are_named(source: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--port", "70000"]) == 1
    assert "port: " in capsys.readouterr().err


async def serving(data_dir: Path, **environment: str) -> asyncio.subprocess.Process:
    """A server in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.serving", "serve", "--port", "0", "--pair", "fake"),
        *("--data-dir", str(data_dir)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=asyncio.subprocess.PIPE,
    )


async def address_of(process: asyncio.subprocess.Process) -> str:
    """Where it listens."""
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if found := re.search(r"running on (http://\S+)", line):
            return found[1]
    raise AssertionError("the server ended before it listened")


@pytest.mark.anyio
async def test_a_server_told_to_stop_ends_its_streams_and_itself(tmp_path: Path) -> None:
    process = await serving(tmp_path)
    async with httpx.AsyncClient(base_url=await address_of(process), trust_env=False) as web:
        id = (await web.post("/api/analyses", json={"text": "cats"})).json()["id"]
        async with web.stream("GET", f"/api/analyses/{id}/events") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            process.send_signal(signal.SIGTERM)
            assert not any("event: failed" in line for line in [line async for line in lines])
    assert process.stderr is not None
    said = (await process.stderr.read()).decode()
    assert await process.wait() in {0, -signal.SIGTERM}
    assert "Traceback" not in said
    assert "timeout" not in said


@pytest.mark.anyio
async def test_a_server_whose_checkpoint_is_refused_ends_and_says_why(tmp_path: Path) -> None:
    process = await serving(tmp_path, FAKE_REFUSED="injection_scale is missing: add it")
    assert process.stderr is not None
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 1
    assert "nla-explorer: injection_scale is missing: add it" in said
    assert "Traceback" not in said


@pytest.mark.anyio
async def test_a_data_directory_in_use_is_refused(tmp_path: Path) -> None:
    first = await serving(tmp_path)
    await address_of(first)
    second = await serving(tmp_path)
    assert second.stderr is not None
    assert "Another nla-explorer uses" in (await second.stderr.read()).decode()
    assert await second.wait() == 1
    first.terminate()
    await first.communicate()
