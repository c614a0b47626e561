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


def begun(total: int, typical: float, share: float = 0.25) -> Estimate:
    found = Estimate(share)
    found.typical = typical
    found.begin(total, set(), set())
    return found


def test_a_batch_that_decodes_together_moves_before_its_first_reading_has_ended(clock: Clock) -> None:
    found = begun(4, typical=100)
    for position in range(4):
        found.decoded((position, 0), 20)
    clock.now += 10
    # A fifth is written, of which three quarters are the AV's part: 0.15 in 10 s.
    assert found.fraction == pytest.approx(0.15)
    assert found.seconds_left == pytest.approx(10 * 0.85 / 0.15, abs=0.1)


def test_readings_that_have_ended_say_how_long_the_others_become(clock: Clock) -> None:
    found = begun(2, typical=1000)
    found.decoded((0, 0), 40)
    found.written((0, 0), 40)
    found.decoded((1, 0), 20)
    assert found.fraction == pytest.approx(0.75 * (1 + 0.5) / 2)
    found.scored((0, 0))
    assert found.fraction == pytest.approx((0.75 * (1 + 0.5) + 0.25) / 2)


def test_once_the_ar_is_alone_its_own_speed_counts_and_is_kept_for_the_next_analysis(clock: Clock) -> None:
    found = begun(20, typical=10)
    for position in range(20):
        found.decoded((position, 0), 10)
        clock.now += 1
        found.written((position, 0), 10)
    for position in range(10):
        clock.now += 3
        found.scored((position, 0))
    assert found.seconds_left == pytest.approx(30)
    for position in range(10, 20):
        clock.now += 3
        found.scored((position, 0))
    assert found.fraction == 1
    assert found.share() == pytest.approx(3 / 4)  # 3 s a reading beside the AV's 1 s


def test_a_reading_that_is_longer_than_all_others_holds_up_the_end(clock: Clock) -> None:
    found = begun(10, typical=10)
    for position in range(10):
        found.decoded((position, 0), 10)
    clock.now += 10
    for position in range(9):
        found.written((position, 0), 10)
        found.scored((position, 0))
    clock.now += 20
    found.decoded((9, 0), 20)
    assert found.seconds_left == pytest.approx(0.2 * 30)  # a fifth more, at a character a second


def test_what_earlier_runs_have_done_does_not_count_as_this_one_s_speed(clock: Clock) -> None:
    found = Estimate(0.25)
    found.begin(4, {(0, 0), (1, 0)}, {(0, 0)})
    assert found.fraction == pytest.approx((0.75 * 2 + 0.25) / 4)
    clock.now += 5
    assert found.seconds_left is None
    found.scored((1, 0))
    found.scored((2, 0))
    assert found.fraction == 0.75
    assert found.seconds_left == pytest.approx(5 * 0.25 / (0.75 - 0.4375), abs=0.1)


def test_it_never_says_that_all_is_done_before_it_is() -> None:
    found = begun(1, typical=10)
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
