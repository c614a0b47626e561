"""`nla-explorer study FILE` on a pair that multiplies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server import cli
from tests.fakes import FakeSource
from tests.studies.sums import multiplying

SUMS = """
kind: multiplication
problems: 3
factors: [[20, 99], [2, 9]]
seed: 1
"""
CAPITALS = """
kind: prompts
title: Capitals
csv: capitals.csv
template: "{country} 4 "
raw: true
positions: before_digits
measures:
  country: {token: "{country}"}
  number: {regex: '\\d'}
  held: fve
"""


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain_environment: None) -> FakeSource:
    """In place of the catalogue."""
    source = multiplying()
    monkeypatch.setattr("server.in_process.Catalogue", lambda settings: source)
    for name, value in (("XDG_DATA_HOME", tmp_path / "share"), ("NLA_PAIR", "fake")):
        monkeypatch.setenv(name, str(value))
    return source


def written(folder: Path, text: str, name: str = "study.yaml") -> str:
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


def test_a_study_is_made_and_printed(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, SUMS)
    assert cli.main(["study", file]) == 0
    told = capsys.readouterr()
    assert "20–99 × 2–9: 3 problems, fake: /s/" in told.out
    assert "before 1" in told.out and "hints_a_digit" in told.out
    assert "3 of 3 cases" in told.err
    generated = source.pair.target.generated
    assert cli.main(["study", file, "--json"]) == 0
    study: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (study["status"], len(study["cases"])) == ("done", 3)
    assert source.pair.target.generated == generated


def test_capitals_and_languages_are_made_from_their_files_too(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "kind: capitals\ncapitals: {Norway: Oslo, Peru: Lima}\n"
    assert cli.main(["study", written(tmp_path, text)]) == 0
    told = capsys.readouterr().out
    assert "wrong, Oslo" in told and "says_the_capital" in told
    turns = "[{role: user, language: French, content: bonjour}]"
    assert cli.main(["study", written(tmp_path, f"kind: languages\ntranscripts: [{turns}]\n")]) == 0
    assert "names_the_language" in capsys.readouterr().out


def test_a_table_beside_the_file_fills_its_template(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "country\nFrance\nPeru\n", "capitals.csv")
    assert cli.main(["study", written(tmp_path, CAPITALS), "--json"]) == 0
    study = json.loads(capsys.readouterr().out)
    assert [case["label"] for case in study["cases"]] == ["France 4", "Peru 4"]
    assert [[r["token"] for r in case["readings"]] for case in study["cases"]] == [[" "], [" "]]
    values = {name: found["value"] for name, found in study["statistics"]["readings"].items()}
    assert values == {"country": 0, "number": 1, "held": pytest.approx(1, abs=1e-3)}


def test_a_csv_of_prompts_is_a_study(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["study", written(tmp_path, "prompt\ncats\n", "prompts.csv")]) == 0
    assert "'c'" in capsys.readouterr().out


def test_rows_in_the_file_are_words(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'kind: prompts\ntemplate: "{n} {yes}"\nraw: true\npositions: last\nrows:\n  - {n: 7, yes: no}\n'
    assert cli.main(["study", written(tmp_path, text), "--json"]) == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert case["row"]["n"] == "7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [", "is not YAML"),
        ("- a\n", "declares no study"),
        ("kind: magic\n", "kind: Use one of multiplication, prompts, capitals, languages."),
        ("kind: multiplication\nproblems: 0\nfactors: [[2, 9], [2, 9]]\n", "problems: "),
        ("kind: prompts\ncsv: nowhere.csv\n", "nowhere.csv cannot be read"),
        ("kind: prompts\nprompts: [a]\nmeasures: {x: {regex: '('}}\n", "no regular expression"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("", "declares no study"),
    ],
)
def test_a_file_that_declares_none_says_why(
    source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert cli.main(["study", written(tmp_path, text)]) == 1
    assert said in capsys.readouterr().err
