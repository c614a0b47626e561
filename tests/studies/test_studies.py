"""Studies as jobs: made, found again, continued with more cases, cancelled, and the same twice."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from fastapi import FastAPI

from server.analyses.schema import AnalysisRequest
from server.errors import BadInput, Busy, NotFound
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, watch
from tests.conftest import running
from tests.fakes import FakePair, held
from tests.studies.sums import asked, ended, made, multiplying, prompts, readings_of, studies_of

pytestmark = pytest.mark.anyio
SLOW = r"^(\w|\W|.)+\b\B"


async def test_each_digit_is_read_where_it_is_and_before(app: FastAPI) -> None:
    study = await made(app, asked())
    assert (study.status, study.error, len(study.cases)) == ("done", None, 5)
    for case in study.cases:
        assert case.factors is not None and case.product is not None and case.answer is not None
        assert int(case.answer) == case.product + (case.product % 3 == 0)
        assert case.exact is (case.product % 3 != 0)
        assert "".join(digit.digit for digit in case.digits) == case.answer
        analysis = await analyses_of(app).get(case.analysis or "")
        texts = {reading.position: reading.text for reading in analysis.readings}
        assert len(texts) == len(case.digits) + 1  # the answer, and the blank before it
        for digit in case.digits:
            assert digit.at is not None and digit.before is not None
            assert (digit.at.position, digit.before.position) == (digit.position, digit.position - 1)
            assert analysis.tokens[digit.position].text == digit.digit
            assert (digit.at.text, digit.before.text) == (texts[digit.position], texts[digit.position - 1])
            assert digit.before.url == f"/a/{analysis.id}?t={digit.position - 1}"
            assert analysis.lens is not None
            assert digit.ranks == analysis.lens.rank[:, digit.position - 1].tolist()


async def test_figures_are_counted_of_the_cases_and_the_same_twice(app: FastAPI, tmp_path: Path) -> None:
    study = await made(app, asked(12))
    right = [bool(case.exact) for case in study.cases]
    exact = study.statistics["answers"]["exact"]
    assert exact.value == pytest.approx(sum(right) / 12)
    assert (exact.n, exact.cases) == (12, 12)
    assert exact.interval is not None and exact.interval[0] <= (exact.value or 0) <= exact.interval[1]
    assert set(study.statistics["at"]) == set(study.statistics["before"])
    silent = study.statistics["before"]["hints_a_digit"]
    assert (silent.value, silent.n) == (0, sum(len(case.digits) for case in study.cases))
    assert any("states a result" in note for note in study.notes)
    async with running(Settings(data_dir=tmp_path / "other", pair="fake"), multiplying()) as other:
        again = await made(other, asked(12))
    assert (again.id, again.statistics, again.cases) == (study.id, study.statistics, study.cases)


async def test_a_request_that_was_made_is_found(app: FastAPI, pair: FakePair) -> None:
    study = await made(app, asked())
    generated = pair.target.generated
    assert await studies_of(app).submit(asked(title="another name", pair="fake")) == (study.id, True)
    assert pair.target.generated == generated
    assert [summary.id for summary in await studies_of(app).recent()] == [study.id]


async def test_one_that_other_weights_have_made_stays_and_is_made_anew_of_these(
    app: FastAPI, pair: FakePair
) -> None:
    study = await made(app, asked())
    pair.fingerprint = "retrained"
    id, existed = await studies_of(app).submit(asked())
    assert id != study.id and not existed
    again = await ended(app, id)
    assert again.status == "done"
    assert {case.analysis for case in again.cases}.isdisjoint(case.analysis for case in study.cases)
    assert await studies_of(app).submit(asked()) == (id, True)
    assert await studies_of(app).get(study.id) == study
    pair.fingerprint = "f1"
    assert await studies_of(app).submit(asked()) == (study.id, True)


async def test_more_problems_hold_those_of_fewer_and_only_new_ones_are_made(
    app: FastAPI, pair: FakePair
) -> None:
    few = await made(app, asked(4))
    before = len(pair.verbaliser.finished)
    more = await made(app, asked(6))
    assert more.cases[:4] == few.cases
    assert len(pair.verbaliser.finished) == before + readings_of(more) - readings_of(few)


async def test_what_is_cancelled_stops_its_analyses_and_goes_on_when_it_is_asked_for_again(
    app: FastAPI, pair: FakePair
) -> None:
    pair.verbaliser.limit(6)
    id, _ = await studies_of(app).submit(asked())
    await _first_case(app, id)
    cancelled = await studies_of(app).cancel(id)
    assert (cancelled.status, cancelled.progress.stage) == ("cancelled", "cancelled")
    assert cancelled.cases
    listed = await analyses_of(app).recent()
    assert {summary.status for summary in listed} == {"done", "cancelled"}
    pair.verbaliser.allow()
    assert await studies_of(app).submit(asked()) == (id, True)
    study = await ended(app, id)
    assert study.status == "done"
    assert [
        case for case in study.cases if case.number in {c.number for c in cancelled.cases}
    ] == cancelled.cases
    assert len(pair.verbaliser.finished) == readings_of(study)


async def test_a_server_that_ends_puts_it_down_and_the_next_goes_on(settings: Settings) -> None:
    source = multiplying()
    source.pair.verbaliser.limit(6)
    async with running(settings, source) as app:
        id, _ = await studies_of(app).submit(asked())
        await _first_case(app, id)
    finished = len(source.pair.verbaliser.finished)
    later = multiplying()
    async with running(settings, later) as app:
        study = await ended(app, id)
    assert study.status == "done"
    assert finished + len(later.pair.verbaliser.finished) == readings_of(study)


async def test_one_that_is_deleted_is_gone_and_its_analyses_stay(app: FastAPI) -> None:
    study = await made(app, asked(2))
    await studies_of(app).delete(study.id)
    with pytest.raises(NotFound):
        await studies_of(app).get(study.id)
    assert (await analyses_of(app).get(study.cases[0].analysis or "")).status == "done"
    assert (await made(app, asked(2))).id == study.id


async def test_a_case_whose_analysis_fails_is_made_again_when_it_is_asked_for_again(
    app: FastAPI, pair: FakePair
) -> None:
    pair.verbaliser.dies_after = 0
    study = await made(app, asked(2))
    assert study.status == "failed" and "2 of 2 cases could not be made" in (study.error or "")
    pair.verbaliser.dies_after = None
    assert (await made(app, asked(2))).status == "done"


async def test_causal_scores_and_edits_are_made_where_they_are_asked_for(app: FastAPI) -> None:
    study = await made(app, asked(4, causal=True, edit_alphas=[1, 2]))
    digits = [digit for case in study.cases for digit in case.digits]
    assert all(digit.before is not None and digit.before.causal is not None for digit in digits)
    assert study.statistics["at"]["causal_right"].n > 0
    assert not any(digit.edits for digit in digits)
    assert any("nothing to edit" in note for note in study.notes)


async def test_a_study_does_not_keep_another_pair_out(settings: Settings) -> None:
    """It holds no pair while it waits for its analyses: whoever asks for another one would wait for its end."""
    source = multiplying()
    source.pairs["other"] = FakePair(name="other")
    async with running(settings.model_copy(update={"extra_pairs": "other"}), source) as app:
        with held(source.pair.target.hold):
            id, _ = await studies_of(app).submit(asked(3))
            await asyncio.to_thread(source.pair.target.begun.wait)
            waiting, _ = await analyses_of(app).create(chat(pair="other"))
        assert (await watch(analyses_of(app), waiting.id))[-1].kind == "done"
        assert (await ended(app, id)).status == "done"


async def test_too_many_at_a_time_are_refused(settings: Settings) -> None:
    source = multiplying()
    async with running(settings.model_copy(update={"max_studies": 1}), source) as app:
        with held(source.pair.target.hold):
            await studies_of(app).submit(asked(2))
            with pytest.raises(Busy):
                await studies_of(app).submit(asked(3))


async def test_prompts_fill_one_table(app: FastAPI) -> None:
    measures = {
        "word": {"token": "{says}"},
        "digits": {"regex": r"\d\.\d"},
        "fve": "fve",
        "layer": "lens",
        "causal": "causal",
        "named": "names_token",
    }
    rows = [{"animal": "cat", "says": "sample"}, {"animal": "dog", "says": "nothing"}]
    request = prompts(
        template="a {animal} sleeps", rows=rows, positions={"regex": "(cat|dog)"}, measures=measures
    )
    study = await made(app, request)
    assert [case.label for case in study.cases] == ["a cat sleeps", "a dog sleeps"]
    assert [[r.position for r in case.readings] for case in study.cases] == [[2, 3, 4]] * 2
    first, second = study.cases
    assert [r.measures["word"] for r in first.readings] == [1, 1, 1]
    assert [r.measures["word"] for r in second.readings] == [0, 0, 0]
    found = study.statistics["readings"]
    assert (found["word"].value, found["word"].n, found["word"].cases) == (0.5, 6, 2)
    assert found["digits"].value == 1 and found["fve"].value == pytest.approx(1, abs=1e-3)
    assert all(r.measures["causal"] is not None for r in first.readings)


async def test_a_csv_alone_is_a_study_whose_analyses_are_ordinary_ones(app: FastAPI) -> None:
    study = await made(app, prompts(csv="prompt\ncats\ndogs\n"))
    assert study.statistics == {"readings": {}}
    assert [len(case.readings) for case in study.cases] == [4, 4]
    ordinary, existed = await analyses_of(app).create(AnalysisRequest(text="cats"))
    assert existed and ordinary.id == study.cases[0].analysis


async def test_a_prompt_that_cannot_be_analysed_has_its_reason(app: FastAPI) -> None:
    study = await made(app, prompts(prompts=["cats", "x" * 5_000]))
    assert study.status == "done" and study.cases[0].error is None
    assert "5,000 tokens long" in (study.cases[1].error or "")
    assert any("1 of 2 prompts could not be analysed" in note for note in study.notes)


async def test_an_expression_that_backtracks_for_ever_ends_the_study_with_its_reason(app: FastAPI) -> None:
    study = await made(app, prompts(prompts=["cats"], measures={"x": {"regex": SLOW}}))
    assert study.status == "failed" and "was given up" in (study.error or "")


async def test_a_pair_that_is_not_there_is_refused(app: FastAPI) -> None:
    with pytest.raises(BadInput, match="no pair named 'nobody'"):
        await studies_of(app).submit(asked(pair="nobody"))


async def _first_case(app: FastAPI, id: str) -> None:
    async with aclosing(studies_of(app).events(id)) as events:
        async for event in events:
            if event.kind == "case":
                return


async def test_what_a_study_asked_for_that_is_gone_is_marked_for_none(app: FastAPI) -> None:
    analysis, _ = await analyses_of(app).create(chat(), "gone")
    (listed,) = await analyses_of(app).recent()
    assert (listed.id, listed.study) == (analysis.id, None)
