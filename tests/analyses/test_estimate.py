from __future__ import annotations

import pytest
from fastapi import FastAPI

from server.analyses import estimate, readings
from server.analyses.estimate import Estimate
from tests.analyses.asking import analyses_of, chat, until, watch
from tests.fakes import FakePair


class Clock:
    """Seconds as the test sets them."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(estimate, "time", clock)
    return clock


def test_a_batch_that_decodes_together_moves_before_its_first_reading_has_ended(clock: Clock) -> None:
    found = Estimate(typical=100)
    found.begin(4, set())
    for position in range(4):
        found.decoded((position, 0), 25)
    clock.now += 10
    # A quarter of nine tenths is written (the last tenth is the AR's): 0.225 in 10 s.
    assert found.fraction == pytest.approx(0.225)
    assert found.seconds_left == pytest.approx(10 * 0.775 / 0.225, abs=0.1)


def test_readings_that_have_ended_say_how_long_the_others_become(clock: Clock) -> None:
    found = Estimate(typical=1000)
    found.begin(2, set())
    found.decoded((0, 0), 40)
    found.written((0, 0), 40)
    found.decoded((1, 0), 20)
    assert found.fraction == pytest.approx((0.9 + 0.9 * 0.5) / 2)
    found.scored((0, 0))
    assert found.fraction == pytest.approx((1 + 0.9 * 0.5) / 2)


def test_what_earlier_runs_have_done_does_not_count_as_this_one_s_speed(clock: Clock) -> None:
    found = Estimate(typical=10)
    found.begin(4, {(0, 0), (1, 0)})
    clock.now += 5
    assert found.seconds_left is None
    found.scored((2, 0))
    assert found.fraction == 0.75
    assert found.seconds_left == pytest.approx(5)


def test_it_never_says_that_all_is_done_before_it_is() -> None:
    found = Estimate(typical=10)
    found.begin(1, set())
    found.decoded((0, 0), 500)
    assert found.fraction is not None
    assert found.fraction < 1
    found.scored((0, 0))
    assert found.fraction == 1


@pytest.mark.anyio
async def test_the_progress_of_an_analysis_moves_before_any_reading_has_ended(
    app: FastAPI, pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "SILENCE", 0.01)
    pair.verbaliser.limit(0)
    id = (await analyses_of(app).create(chat("cats")))[0].id
    async for event in analyses_of(app).events(id):
        if event.kind == "progress" and event.data.fraction:
            assert event.data.done == 0
            assert 0 < event.data.fraction < 1
            break
    pair.verbaliser.allow()
    await watch(analyses_of(app), id)
    done = await until(analyses_of(app), id, "done")
    assert done.data.status == "done"
