"""`nla-explorer vector` prints what the API answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from server import cli
from tests.fakes import D, FakeSource, activation

TEXT = "cats"


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain_environment: None) -> FakeSource:
    """In place of the catalogue."""
    source = FakeSource()
    monkeypatch.setattr("server.in_process.Catalogue", lambda settings: source)
    for name, value in (("XDG_DATA_HOME", tmp_path / "share"), ("NLA_PAIR", "fake")):
        monkeypatch.setenv(name, str(value))
    return source


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints."""
    capsys.readouterr()
    assert cli.main(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(list(arguments)) == 1
    return capsys.readouterr().err


def test_a_difference_is_made_read_scored_and_patched(
    source: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    id = told(capsys, "analyse", TEXT, "--raw", "--json")["id"]
    made = told(capsys, "vector", "make", f"{id}:3", f"{id}:1:-1")
    assert [(s["token"], s["weight"]) for s in made["sum"]] == [("s", 1), ("a", -1)]
    h = [activation([ord(c) for c in TEXT[: n + 1]]) for n in (3, 1)]
    assert made["norm"] == pytest.approx(np.linalg.norm(h[0] - h[1]), rel=1e-5)
    assert told(capsys, "vector", "list") == [made]

    read = told(capsys, "vector", "read", made["id"], "--samples", "2")
    assert [reading["sample"] for reading in read["readings"]] == [0, 1]
    assert told(capsys, "vector", "read", made["id"], "--samples", "2") == read

    own, other = read["readings"][0], "about dogs"
    scores = told(capsys, "vector", "score", made["id"], own["text"], other)["scores"]
    assert scores[0]["cos"] == pytest.approx(own["cos"], abs=1e-5) and scores[1]["cos"] != scores[0]["cos"]

    steer = ("--mode", "steer", "--alpha", "0.5", "--target", "B")
    patched = told(capsys, "vector", "patch", made["id"], id, "3", *steer)
    assert (patched["vector"]["id"], patched["request"]["alpha"]) == (made["id"], 0.5)
    assert patched["kl"] > 0 and [t["text"] for t in patched["after"]["targets"]] == ["B"]


def test_a_file_is_kept(source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "probe.safetensors"
    save_file({"one": np.arange(D, dtype=np.float32), "two": np.ones(D, np.float32)}, file)
    made = told(capsys, "vector", "make", "--file", str(file), "--tensor", "two", "--name", "my probe")
    assert (made["name"], made["file"], made["norm"]) == ("my probe", file.name, pytest.approx(D**0.5))


def test_what_is_wrong_is_named(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "'abc' is no term" in refused(capsys, "vector", "make", "abc")
    assert "There is no analysis 'abc'" in refused(capsys, "vector", "make", "abc:1")
    assert "from 1 to 200" in refused(capsys, "vector", "list", "--limit", "0")
    assert "sum.0.position: " in refused(capsys, "vector", "make", "abc:x")
    assert "sum: " in refused(capsys, "vector", "make")
    assert "not both" in refused(capsys, "vector", "make", "abc:1", "--file", "x")
    assert "cannot be read" in refused(capsys, "vector", "make", "--file", str(tmp_path / "none"))
    assert "There is no vector" in refused(capsys, "vector", "read", "none")
    assert "samples: " in refused(capsys, "vector", "read", "none", "--samples", "0")
