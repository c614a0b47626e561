from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import numpy as np
import pytest

from server.analyses.readings import TRIES, Finding, Kept, ReadingBatch, Scored, read
from server.analyses.schema import Verbalise
from server.analyses.watched import WatchedPositions
from server.errors import NlaError
from server.nla.verbalisers.base import Failed, Finished, TextDelta
from tests.fakes import FakePair, FakeVerbaliser, activation, held, text_of

pytestmark = pytest.mark.anyio
T = 6


@pytest.fixture
async def pair(anyio_backend: str) -> AsyncIterator[FakePair]:
    pair = FakePair()
    yield pair
    await pair.close()


def job(**more: Any) -> ReadingBatch:
    activations = np.stack([activation([n]) for n in range(T)])
    keys = [(p, 0) for p in range(T)]
    return ReadingBatch(
        **{
            "activations": activations,
            "keys": keys,
            "length": T,
            "settings": Verbalise(),
            "content": range(T),
            **more,
        }
    )


async def reading(pair: FakePair, job: ReadingBatch, pins: WatchedPositions | None = None) -> Any:
    async with aclosing(read(cast(Any, pair), job, pins or WatchedPositions())) as batches:
        async for batch in batches:
            for finding in batch:
                yield finding


async def all_of(pair: FakePair, job: ReadingBatch, pins: WatchedPositions | None = None) -> list[Finding]:
    async with aclosing(reading(pair, job, pins)) as findings:
        return [finding async for finding in findings]


async def ended(findings: Any, count: int) -> AsyncIterator[Finding]:
    """All findings until so many readings are scored."""
    while count:
        finding = await anext(findings)
        count -= isinstance(finding, Scored)
        yield finding


def scores(findings: list[Finding]) -> dict[int, tuple[Any, ...]]:
    batches = [finding for finding in findings if isinstance(finding, Scored)]
    return {key[0]: (s.cos, s.mse, s.fve, s.rank) for batch in batches for key, s in batch.scores.items()}


async def test_every_position_is_written_and_scored(pair: FakePair) -> None:
    findings = await all_of(pair, job())
    written = {f.key[0]: f.text for f in findings if isinstance(f, Finished)}
    assert written == {p: text_of(activation([p])) for p in range(T)}
    for cos, mse, fve, rank in scores(findings).values():
        assert (cos, mse, fve, rank) == (pytest.approx(1), pytest.approx(0, abs=1e-6), pytest.approx(1), 1)


async def test_scores_are_those_of_a_plain_calculation(pair: FakePair) -> None:
    asked = job()
    kept = {(p, 0): Kept("words without numbers " + str(p), None) for p in range(T)}
    found = scores(await all_of(pair, job(kept=kept)))
    for p in range(T):
        h = asked.activations.astype(float)
        r = (await pair.reconstructor.reconstruct([kept[p, 0].text]))[0].astype(float)
        cosines = h @ r / np.linalg.norm(h, axis=1) / np.linalg.norm(r)
        unit_h, unit_r = (v * np.sqrt(len(v)) / np.linalg.norm(v) for v in (h[p], r))
        mse = np.mean((unit_h - unit_r) ** 2)
        rank = 1 + int((cosines > cosines[p]).sum())
        assert found[p] == (pytest.approx(cosines[p]), pytest.approx(mse), pytest.approx(1 - mse / 0.5), rank)


async def test_the_ar_reads_what_has_piled_up_in_one_batch(pair: FakePair) -> None:
    pair.verbaliser.limit(1)
    with held(pair.reconstructor.hold):
        findings = reading(pair, job(score_batch=4))
        seen = [await anext(findings)]
        assert await asyncio.to_thread(pair.reconstructor.begun.wait, 30)
        pair.verbaliser.allow()
        while sum(isinstance(finding, Finished) for finding in seen) < T:
            seen.append(await anext(findings))
    assert not any(isinstance(finding, Scored) for finding in seen)
    rest = [finding async for finding in findings]
    assert [len(batch) for batch in pair.reconstructor.batches] == [1, 4, 1]
    assert len(scores(rest)) == T


async def test_a_broken_position_is_marked_and_the_others_go_on(pair: FakePair) -> None:
    pair.verbaliser.broken = {2}
    findings = await all_of(pair, job())
    assert [f for f in findings if isinstance(f, Failed)] == [Failed((2, 0), "The AV choked on this one.")]
    assert sorted(scores(findings)) == [0, 1, 3, 4, 5]


async def test_a_text_that_the_ar_cannot_take_spoils_no_other(pair: FakePair) -> None:
    pair.reconstructor.refused = f"{activation([3])[0]:.3f}"
    findings = await all_of(pair, job())
    (marked,) = [f for f in findings if isinstance(f, Failed)]
    assert marked.key == (3, 0)
    assert "the AR choked" in marked.reason
    assert sorted(scores(findings)) == [0, 1, 2, 4, 5]


async def test_an_activation_that_is_not_finite_is_marked_unread(pair: FakePair) -> None:
    asked = job()
    asked.activations[1, 0] = np.inf
    findings = await all_of(pair, asked)
    (marked,) = [f for f in findings if isinstance(f, Failed)]
    assert marked.key == (1, 0)
    assert [(1, 0)] not in pair.verbaliser.asked
    assert len(scores(findings)) == T - 1


async def test_an_av_that_hangs_is_given_up_on_and_what_it_wrote_is_scored(pair: FakePair) -> None:
    pair.verbaliser.limit(2)
    findings = await all_of(pair, job(patience=0.1))
    assert sorted(scores(findings)) == [0, 1]
    said = "The verbaliser said nothing for 0.1 s (NLA_AV_TIMEOUT)."
    assert [f for f in findings if isinstance(f, Failed)] == [Failed((p, 0), said) for p in range(2, T)]
    assert pair.verbaliser.aborted == 1
    pair.verbaliser.allow()
    assert sorted(scores(await all_of(pair, job(patience=0.1)))) == list(range(T))


async def test_a_batch_too_large_for_the_ar_is_read_by_halves(
    pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_whole, sizes = pair.reconstructor.reconstruct, list[int]()

    async def small(texts: Sequence[str]) -> Any:
        sizes.append(len(texts))
        if len(texts) > 2:
            raise MemoryError
        return await read_whole(texts)

    monkeypatch.setattr(pair.reconstructor, "reconstruct", small)
    kept = {(p, 0): Kept(text_of(activation([p])), None) for p in range(T)}
    assert sorted(scores(await all_of(pair, job(kept=kept)))) == list(range(T))
    assert sizes == [6, 3, 1, 2, 3, 1, 2]


async def test_a_position_beyond_the_text_is_marked(pair: FakePair) -> None:
    findings = await all_of(pair, job(keys=[(0, 0), (99, 0)]))
    assert Failed((99, 0), "There is no position 99: the text ended at 5.") in findings
    assert sorted(scores(findings)) == [0]


async def test_what_is_kept_is_not_written_again_and_only_scored_if_it_was_not(pair: FakePair) -> None:
    kept = {
        (0, 0): Kept("scored", activation([0])),
        (1, 0): Kept(text_of(activation([1])), None),
    }
    findings = await all_of(pair, job(kept=kept))
    assert pair.verbaliser.asked == [[(2, 0), (3, 0), (4, 0), (5, 0)]]
    assert sorted(scores(findings)) == [1, 2, 3, 4, 5]


async def test_windows_follow_the_pins_of_the_moment(pair: FakePair) -> None:
    pins = WatchedPositions()
    pins.pin(4)
    pair.verbaliser.limit(0)
    findings = reading(pair, job(window=2), pins)
    assert (await anext(findings)).key == (4, 0)
    pins.pin(5)
    pair.verbaliser.allow()
    async for _ in findings:
        pass
    assert pair.verbaliser.asked == [[(4, 0), (0, 0)], [(5, 0), (1, 0)], [(2, 0), (3, 0)]]


@pytest.fixture
async def busy(anyio_backend: str) -> AsyncIterator[FakePair]:
    """A pair whose engine takes readings as others end, two at a time."""
    pair = FakePair(verbaliser=FakeVerbaliser(max_concurrency=2))
    yield pair
    await pair.close()


async def test_an_engine_that_reads_on_is_asked_for_the_next_whenever_one_has_ended(busy: FakePair) -> None:
    busy.verbaliser.limit(1)
    findings = reading(busy, job())
    first = [finding async for finding in ended(findings, 1)]
    assert busy.verbaliser.asked == [[(0, 0)], [(1, 0)], [(2, 0)]]  # the last has the place of the first
    busy.verbaliser.allow()
    rest = [finding async for finding in findings]
    assert sorted(scores([*first, *rest])) == list(range(T))


async def test_a_new_pin_is_the_next_that_it_is_asked_for(busy: FakePair) -> None:
    pins = WatchedPositions()
    pins.pin(0)
    busy.verbaliser.limit(0)
    findings = reading(busy, job(), pins)
    assert (await anext(findings)).key == (0, 0)
    pins.pin(5)
    busy.verbaliser.allow()
    async for _ in findings:
        pass
    assert busy.verbaliser.asked[2] == [(5, 0)]


async def test_all_samples_of_a_position_are_asked_for_together(busy: FakePair) -> None:
    keys = [(p, s) for p in range(3) for s in range(3)]
    await all_of(busy, job(keys=keys, settings=Verbalise(samples=3, temperature=1.0)))
    assert busy.verbaliser.asked == [[(p, 0), (p, 1), (p, 2)] for p in range(3)]


async def test_two_analyses_take_turns_at_it(busy: FakePair) -> None:
    busy.verbaliser.limit(0)
    long = asyncio.create_task(all_of(busy, job()))
    for _ in range(20):
        await asyncio.sleep(0)
    short = asyncio.create_task(all_of(busy, job(keys=[(5, 0)])))
    await asyncio.sleep(0)
    busy.verbaliser.allow()
    await asyncio.gather(long, short)
    assert busy.verbaliser.asked.index([(5, 0)]) <= 3  # behind the one that waited already


async def test_words_are_told_for_pinned_positions_alone_and_are_the_text(pair: FakePair) -> None:
    pins = WatchedPositions()
    pins.pin(3)
    words = [f for f in await all_of(pair, job(), pins) if isinstance(f, TextDelta)]
    assert {f.key for f in words} == {(3, 0)}
    assert len(words) > 3
    assert "".join(f.text for f in words) == text_of(activation([3]))


async def test_a_late_pin_is_told_the_words_from_the_beginning(pair: FakePair) -> None:
    pins = WatchedPositions()
    pins.pin(0)
    pair.verbaliser.limit(1)
    findings = reading(pair, job(keys=[(0, 0), (1, 0)]), pins)
    async for finding in findings:
        if isinstance(finding, Scored):
            break  # by now the AV waits at the last word of position 1, which nobody has pinned
    pins.pin(1)
    pair.verbaliser.allow()
    told = [f.text async for f in findings if isinstance(f, TextDelta)]
    assert "".join(told) == text_of(activation([1]))


async def test_a_dead_engine_ends_the_readings_but_what_was_written_is_scored(pair: FakePair) -> None:
    pair.verbaliser.dies_after = 2
    seen: list[Finding] = []

    async def collect() -> None:
        async for finding in reading(pair, job()):
            seen.append(finding)

    with pytest.raises(NlaError, match="The engine died"):
        await collect()
    assert sorted(scores(seen)) == [0, 1]


async def test_closing_aborts_the_av(pair: FakePair) -> None:
    pair.verbaliser.limit(1)
    findings = reading(pair, job())
    async for finding in findings:
        if isinstance(finding, Scored):
            break
    await findings.aclose()
    assert pair.verbaliser.aborted == 1


async def test_an_order_without_an_answer_is_marked(pair: FakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pair.verbaliser.stream

    async def forgetful(orders: Any, **settings: Any) -> Any:
        async for outcome in whole(orders[:-1], **settings):
            yield outcome

    monkeypatch.setattr(pair.verbaliser, "stream", forgetful)
    findings = await all_of(pair, job())
    assert [f.key for f in findings if isinstance(f, Failed)] == [(T - 1, 0)]


async def test_what_the_engine_died_over_is_read_again(pair: FakePair) -> None:
    pair.verbaliser.dizzy = {2: 2}
    findings = await all_of(pair, job())
    marks = [f for f in findings if isinstance(f, Failed)]
    assert [(mark.key, mark.reason) for mark in marks] == [((2, 0), "The engine died over this.")] * 2
    assert set(scores(findings)) == set(range(T))


async def test_what_the_engine_always_dies_over_is_given_up(pair: FakePair) -> None:
    pair.verbaliser.dizzy = {2: 10**9}
    findings = await all_of(pair, job())
    assert set(scores(findings)) == set(range(T)) - {2}
    assert len(pair.verbaliser.asked) == TRIES
