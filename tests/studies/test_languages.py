"""Languages: what is written where, which languages the readings name, and smoothed lines known by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from server.errors import BadInput
from server.studies.languages import Languages, named_languages
from server.studies.languages_figures import figures, lines
from server.studies.requests import LanguagesRequest
from server.studies.resampling import agreement
from server.studies.schema import Case, Figures, ReadingResult
from server.studies.shuffles import shifted
from tests.studies.sums import ASKED, made
from tests.studies.test_declared import tokens

TURNS = [
    {"role": "user", "content": "good day", "language": "English"},
    {"role": "assistant", "content": "bonjour", "language": "French"},
    {"role": "user", "content": "und du", "language": "German"},
]
RUNS, DRAWS, MOST_CLAIMS = 200, 99, 0.07


def asked(**more: Any) -> LanguagesRequest:
    request = ASKED.validate_python({"kind": "languages", "seed": 2} | more)
    assert isinstance(request, LanguagesRequest)
    return request


@pytest.mark.anyio
async def test_each_token_of_a_message_has_its_language(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.text_of", lambda vector, sample=0: f"french {vector.tolist()}")
    study = await made(app, asked(transcripts=[TURNS], every=1))
    assert study.status == "done", study.error
    (case,) = study.cases
    assert case.label == "English → French → German"
    spelt = {
        language: "".join(r.token for r in case.readings if r.language == language)
        for language in ("English", "French", "German")
    }
    assert spelt == {turn["language"]: turn["content"] for turn in TURNS}
    assert all(r.measures == {"English": 0, "French": 1, "German": 0} for r in case.readings)
    assert [line.language for line in case.lines] == ["English", "French", "German"]
    assert case.lines[1].values == [1] * len(case.readings)
    found = study.statistics
    assert found["readings"]["names_a_language"].value == 1
    written = found["readings"]["names_the_language"]
    assert written.value == pytest.approx(7 / 21)
    assert (written.p, written.interval) == (1, None)  # wherever the readings are moved it is the same
    assert found["languages"]["names_French"].n == 7
    assert any("no intervals" in note for note in study.notes)


@pytest.mark.anyio
async def test_every_second_token_of_the_built_in_transcripts(app: FastAPI) -> None:
    study = await made(app, asked(every=9))
    assert study.status == "done", study.error
    assert len(study.cases) == 6 and all(case.readings for case in study.cases)
    assert {r.language for case in study.cases for r in case.readings} == {
        "English", "French", "German", "Italian", "Portuguese", "Spanish",
    }  # fmt: skip
    assert any("names one of the languages" in note for note in study.notes)
    interval = study.statistics["readings"]["names_the_language"].interval
    assert interval is not None and interval[0] == 0 < interval[1] < 0.5


def reading(language: str | None, *named: str) -> ReadingResult:
    measures = {each: float(each in named) for each in ("French", "German")}
    return ReadingResult(position=1, token="x", url="/a/x", text="", language=language, measures=measures)


def told(cases: Sequence[Sequence[ReadingResult]]) -> Figures:
    made = [Case(number=n, label="x", readings=list(each)) for n, each in enumerate(cases)]
    return figures(made, ["French", "German"], asked())


def test_a_line_is_the_weighted_mean_of_neighbours() -> None:
    several = [reading("French", "French"), reading("French"), reading("German", "German", "French")]
    french, german = lines(several, ["French", "German"], 1.0, 0)
    near, far = math.exp(-1 / 2), math.exp(-2)
    assert french.values[0] == pytest.approx((1 + far) / (1 + near + far), abs=1e-5)
    assert french.values[1] == pytest.approx(2 * near / (1 + 2 * near), abs=1e-5)
    assert german.values[2] == pytest.approx(1 / (1 + near + far), abs=1e-5)
    assert (french.null.value, german.null.value) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert german.null.interval is not None and german.null.interval[0] < 1 / 3 < german.null.interval[1]


def test_a_line_goes_on_where_readings_failed_and_is_none_where_all_did() -> None:
    failed = ReadingResult(position=1, token="x", url="/a/x", text="", error="x")
    french, _ = lines([reading("French", "French"), *[failed] * 90], ["French", "German"], 1.0, 0)
    assert french.values == [1] * 91
    assert lines([failed], ["French"], 1.0, 0) == []


def test_a_planted_switch_is_found() -> None:
    several = [
        [reading(one, one) for one in ["French"] * 10 + ["German"] * 10 + ["French"] * 5] for _ in range(5)
    ]
    found = told(several).statistics
    assert found["readings"]["names_the_language"].value == 1
    p = found["readings"]["names_the_language"].p
    assert p is not None and p < 0.01
    assert (found["languages"]["names_German"].value, found["languages"]["names_German"].n) == (1, 50)


def test_readings_of_which_none_names_a_language_are_an_honest_null() -> None:
    found = told([[reading("French")] * 6 for _ in range(5)])
    written = found.statistics["readings"]["names_the_language"]
    assert (written.value, written.n, written.cases, written.p) == (0, 30, 5, 1)
    assert written.interval is not None and written.interval[1] > 0.3
    assert any("None of the 30 readings" in note for note in found.notes)
    assert told([]).statistics["readings"]["names_a_language"].n == 0


def test_moved_readings_keep_their_order_within_the_transcript() -> None:
    clusters = [0, 0, 0, 1, 1, 0]
    sources = shifted(clusters, 100, np.random.default_rng(0))
    assert (np.asarray(clusters)[sources] == clusters).all()
    turns = {tuple(row) for row in sources[:, [0, 1, 2, 5]].tolist()}
    assert turns == {(0, 1, 2, 5), (5, 0, 1, 2), (2, 5, 0, 1), (1, 2, 5, 0)}
    assert shifted([], 3, np.random.default_rng(0)).shape == (3, 0)


def test_readings_that_are_alike_for_long_but_know_nothing_hardly_ever_claim_an_effect() -> None:
    """They keep to a language for a while, as transcripts do: dealt one by one they would claim too often."""
    moved = dealt = 0
    for run in range(RUNS):
        random = np.random.default_rng(run)
        clusters = np.repeat(np.arange(4), 40).tolist()
        written = ([0] * 20 + [1] * 20) * 4
        said = np.repeat(random.integers(0, 2, 4 * 5), 8).tolist()
        random = np.random.default_rng([run, 1])
        found = agreement(said, written, clusters, draws=DRAWS, sources=shifted(clusters, DRAWS, random))
        moved += found.p is not None and found.p < 0.05
        orders = np.hstack([[random.permutation(40) + 40 * n for _ in range(DRAWS)] for n in range(4)])
        found = agreement(said, written, clusters, draws=DRAWS, sources=orders)
        dealt += found.p is not None and found.p < 0.05
    assert moved / RUNS < MOST_CLAIMS < 2 * MOST_CLAIMS < dealt / RUNS


def test_names_of_languages_are_words_of_their_own() -> None:
    known = ["French", "Spanish", "Chinese"]
    assert named_languages("A french text, once in Mandarin; Spanishly.", known) == {"French", "Chinese"}


def test_messages_that_cannot_be_told_apart_are_refused() -> None:
    study = Languages(asked(transcripts=[TURNS]), 1000)
    (spec,) = study.specs()
    with pytest.raises(BadInput, match="3 messages, but 0"):
        study.positions(spec, tokens("<s>", "<e>", prompt=2))
    with pytest.raises(BadInput, match="NLA_MAX_CASES"):
        Languages(asked(), 5).specs()
