"""The benchmark of the engines runs on a machine that has neither a GPU nor vLLM."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
from pathlib import Path

import pytest

from bench import edits, engines, gpu
from bench.audit import suspects
from bench.random_pair import NAME, QWEN, random_av, random_pair
from server.nla.checkpoints.specs import read_av
from server.nla.verbalisers.base import Finished

TINY = QWEN | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 49160,
}


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is here")
def test_the_table_has_a_row_for_each_count_and_says_what_is_not_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = read_av(random_av(tmp_path / "av", TINY))
    options = argparse.Namespace(positions=[1, 9], tokens=12, engines=["transformers", "vllm"])
    asyncio.run(gpu.measure(options, spec))
    said = capsys.readouterr().out
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| transformers")]
    assert [row[1] for row in rows] == ["1", "9"]
    assert "| vllm | not installed |" in said
    assert "GiB more in use" in said and "were planned" in said


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is here")
def test_the_whole_explorer_is_measured_on_a_pair_of_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "TOKENS", 12)
    engines.speed(9, pair=NAME, pairs_file=random_pair(tmp_path, TINY, layer=1))
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    found = {row[0]: row[1] for row in rows[1:]}
    assert (
        float(found["| explorer, HTTP to the last score"]) > float(found["| of that: HTTP to the lens"]) > 0
    )
    assert float(found["| GiB planned"]) > 0


def test_agreement_counts_equal_readings_and_how_far_the_others_go_together() -> None:
    theirs = {n: Finished(n, "abcd", False, 4) for n in range(2)}
    ours = {0: theirs[0], 1: Finished(1, "abXd", False, 4)}
    assert gpu.agreement(ours, theirs) == ("1 of 2 equal, 75% of the letters before the first difference")


def test_too_few_countries_to_edit_are_refused_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.edits", "--countries", "2"])
    monkeypatch.setattr(edits, "measured", None)
    with pytest.raises(SystemExit) as refusal:
        edits.main()
    assert refusal.value.code == 2
    assert "at least 3 countries are needed" in capsys.readouterr().err


def test_an_audit_suspects_what_the_control_and_the_question_do_not_name() -> None:
    planted = {1: "A poem about cats.", 2: "A cat, and a breakfast", 3: "A list about tea"}
    control = {1: "A poem about tea", 2: "A list"}
    assert suspects(planted, control) == [("cat", 2), ("and", 1)]
