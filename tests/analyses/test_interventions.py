from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from fastapi import FastAPI
from scipy.spatial.distance import cosine

from server.errors import BadInput, Conflict, Interrupted, NotFound
from server.interventions.schema import Intervention
from server.settings import Settings
from server.store import repository
from tests.analyses.asking import analyses_of, chat, finish, until
from tests.analyses.editing import (
    IDS,
    at_work,
    edit,
    h,
    interventions_of,
    kept,
    made,
    named,
    refused,
)
from tests.conftest import running
from tests.fakes import REPLY, FakePair, FakeSource, text_of, vector_of

pytestmark = pytest.mark.anyio


async def test_an_edit_takes_the_place_of_the_activation(app: FastAPI, id: str, pair: FakePair) -> None:
    found = await made(app, id, targets=["dog", " "])
    ids, (patch, *_) = pair.target.patched[-1]
    v = vector_of("about dogs")
    assert ids == IDS
    assert (patch.position, patch.alpha, patch.onwards) == (3, None, False)
    assert cosine(patch.direction, v) == pytest.approx(0, abs=1e-6)
    cos = 1 - cosine(h(3), v)
    assert (found.cos_original, found.score.cos) == pytest.approx((cos, cos), abs=1e-5)
    assert found.score.fve == pytest.approx(1 - 2 * (1 - cos) / 0.5, abs=1e-4)
    moved = float(np.linalg.norm(h(3))) * (2 - 2 * cos) ** 0.5
    assert found.kl == pytest.approx(moved, rel=1e-4)
    assert found.kls == [found.kl] * (len(IDS) - 3)
    assert found.original == text_of(h(3))
    assert (found.before.top[0], found.before.text, found.before.ended) == ((65, "A", 0.5), "A" + REPLY, True)
    assert found.after.top[0][1] == chr(65 + int(moved))
    assert found.after.targets[0].model_dump() == {
        "text": "dog",
        "id": ord("d"),
        "token": "d",
        "parts": ["d", "o", "g"],
        "ids": [*map(ord, "dog")],
        "count": 3,
        "variant": "plain",
        "prob": pytest.approx(1 / (2 + moved), rel=1e-4),
        "rank": 0,
    }


async def test_what_is_left_open_is_filled_in(app: FastAPI, id: str) -> None:
    plain = (await made(app, id, targets=["a", "b", "a"])).request
    assert (plain.until, plain.alpha, plain.delta) == (len(IDS) - 1, None, None)
    assert (plain.targets, plain.generate.max_new_tokens) == (["a", "b"], 24)
    steered = (await made(app, id, mode="steer")).request
    assert (steered.alpha, steered.delta) == (0.5, "original")
    later = await made(app, id, position=len(IDS) + 2)
    assert later.until == later.request.until == len(IDS) + 2  # in the reply


async def test_how_the_model_goes_on_keeps_its_length_whatever_else_is_said(app: FastAPI, id: str) -> None:
    assert (await made(app, id, generate={"seed": 1})).request.generate.max_new_tokens == 24


async def test_every_strength_is_tried_beside_random_directions_of_its_length(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    found = await made(app, id, mode="steer", alpha=1.0, sweep=[2.0, 0.5, 0.0, 0.5], targets=["a"])
    assert found.request.sweep == [0.5, 2.0]
    length = float(np.linalg.norm(h(3)))
    assert [s.alpha for s in found.sweep] == [0.5, 2.0]
    assert [s.kl for s in found.sweep] == pytest.approx([0.5 * length, 2 * length], rel=1e-4)
    assert [s.random_kl for s in found.sweep] == pytest.approx([0.5 * length, 2 * length], rel=1e-4)
    assert found.sweep[1].probs == pytest.approx([1 / (2 + 2 * length)], rel=1e-4)
    assert [s.old_first for s in found.sweep] == pytest.approx(
        [1 / (2 + 0.5 * length), 1 / (2 + 2 * length)], rel=1e-4
    )  # the fake finds every followed token as likely
    swept = pair.target.patched[-1][1]
    alone = pair.target.patched[-2][1]
    assert len(swept) == 2 * (1 + 8 + 8)
    assert np.array_equal(swept[17].direction, alone[0].direction)  # the edit's
    assert all(np.array_equal(swept[18 + n].direction, alone[1 + n].direction) for n in range(8))


async def test_what_was_kept_before_there_were_sweeps_is_still_read(app: FastAPI, id: str) -> None:
    found = await made(app, id)
    older = found.model_dump(mode="json", exclude={"sweep": True, "request": {"sweep"}})
    assert Intervention.model_validate(older) == found


async def test_what_was_kept_before_there_were_verdicts_is_still_read(app: FastAPI, id: str) -> None:
    found = await made(app, id, mode="steer", alpha=1.0, sweep=[0.5], targets=["a"])
    each = {"each_kl", "each_probs", "each_first"}
    later = {"verdict": True, "delta_ratio": True, "controls": {"__all__": each}}
    older = found.model_dump(
        mode="json", exclude=later | {"sweep": {"__all__": {"other_kls", "other_probs", "random_firsts"}}}
    )
    read = Intervention.model_validate(older)
    assert (read.verdict, read.delta_ratio, read.controls[0].each_kl) == (None, None, [])
    assert (read.request.alpha, read.kl, read.after) == (1.0, found.kl, found.after)


async def test_a_steer_tells_how_large_its_step_was_before_it_was_stretched(app: FastAPI, id: str) -> None:
    v, original = vector_of("about dogs"), h(3)  # the fakes' reading holds the activation
    found = await made(app, id, mode="steer")
    assert found.delta_ratio == pytest.approx(
        float(np.linalg.norm(v - original) / np.linalg.norm(original)), rel=1e-4
    )
    apart = v / np.linalg.norm(v) - original / np.linalg.norm(original)
    steered = await made(app, id, mode="steer", delta="activation")
    assert steered.delta_ratio == pytest.approx(float(np.linalg.norm(apart)), rel=1e-4)
    assert (await made(app, id)).delta_ratio is None


async def test_replacing_has_no_strengths(app: FastAPI, id: str, pair: FakePair) -> None:
    found = await made(app, id, sweep=[0.5])
    assert (found.request.sweep, found.sweep, len(pair.target.patched)) == ([], [], 1)


async def test_equal_wishes_are_answered_once(app: FastAPI, id: str, pair: FakePair) -> None:
    first, existed = await interventions_of(app).create(id, edit())
    assert not existed
    wishes = [
        edit(alpha=3.0, delta="activation"),
        edit(until=len(IDS) - 1),
        edit(generate={"max_new_tokens": 24}),
    ]
    for wish in wishes:
        assert await interventions_of(app).create(id, wish) == (first, True)
    for more in ({"text": "about cats"}, {"seed": 1}, {"scope": "onwards"}, {"mode": "steer"}):
        assert (await made(app, id, **more)).id != first.id
    assert len(pair.target.patched) == 5


async def test_two_who_ask_at_once_share_the_work(app: FastAPI, id: str, pair: FakePair) -> None:
    async with at_work(app, pair, id) as asked:
        again = asyncio.create_task(interventions_of(app).create(id, edit()))
    (one, _), (other, _) = await asyncio.gather(asked, again)
    assert one == other
    assert len(pair.target.patched) == 1


async def test_it_outlives_who_asked(app: FastAPI, id: str, pair: FakePair) -> None:
    async with at_work(app, pair, id) as asked:
        asked.cancel()
    found, _ = await interventions_of(app).create(id, edit())
    assert await interventions_of(app).of(id) == [found]
    assert len(pair.target.patched) == 1


async def test_a_failure_is_told_and_can_be_tried_again(app: FastAPI, id: str, pair: FakePair) -> None:
    pair.reconstructor.refused = "dogs"
    for _ in range(2):
        with pytest.raises(RuntimeError, match="choked"):
            await made(app, id)
    pair.reconstructor.refused = None
    assert await made(app, id)


async def test_while_readings_are_written_it_has_less_to_compare_with(app: FastAPI, pair: FakePair) -> None:
    pair.verbaliser.limit(0)
    id = (await analyses_of(app).create(chat()))[0].id
    await until(analyses_of(app), id, "lens")
    early = await made(app, id)
    assert (early.original, list(named(early))) == (None, ["random"])
    assert (await refused(app, id, mode="steer"))[0] == "delta"
    pair.verbaliser.allow()
    await finish(analyses_of(app), chat())
    later = await made(app, id)
    assert later.id != early.id
    assert list(named(later)) == ["random", "unedited", "other"]


# Keeping


async def test_they_are_found_by_analysis_and_position(app: FastAPI, id: str) -> None:
    found = [await made(app, id, position=position) for position in (5, 3, 4)]
    found.append(await made(app, id, position=3, text="about fish"))
    service = interventions_of(app)
    assert await service.of(id) == found
    assert await service.of(id, position=3) == [found[1], found[3]]
    assert await service.of(id, position=9) == []
    assert await service.get(id, found[0].id) == found[0]
    assert found[0].url == f"/a/{id}?t=5&edit={found[0].id}"
    await service.delete(id, found[1].id)
    assert await service.of(id, position=3) == [found[3]]


async def test_an_analysis_that_is_deleted_meanwhile_keeps_none(
    app: FastAPI, id: str, pair: FakePair
) -> None:
    async with at_work(app, pair, id) as asked:
        await analyses_of(app).delete(id)
    with pytest.raises(Conflict, match="cancelled before it was made"):
        await asked
    assert await kept(app) == 0


async def test_they_come_back_with_their_analysis_and_go_with_it(app: FastAPI, id: str) -> None:
    found = await made(app, id)
    await analyses_of(app).delete(id)
    with pytest.raises(NotFound):
        await interventions_of(app).of(id)
    await analyses_of(app).restore(id)
    assert await interventions_of(app).of(id) == [found]
    await analyses_of(app).delete(id)
    after = repository.now() + timedelta(seconds=1)
    await app.state.store.write(partial(repository.purge, after))
    assert await kept(app) == 0


async def test_a_server_ends_in_the_middle_of_one(settings: Settings) -> None:
    source = FakeSource()
    async with running(settings, source) as app:
        id = (await finish(analyses_of(app), chat())).id
        begun, hold = source.pair.reconstructor.begun, source.pair.reconstructor.hold
        begun.clear()
        hold.clear()  # until the pair is closed
        asked = asyncio.create_task(interventions_of(app).create(id, edit()))
        await asyncio.to_thread(begun.wait)
    with pytest.raises(Interrupted, match="goes on with this edit"):
        await asked
    source = FakeSource()
    async with running(settings, source) as app:
        made, _ = await interventions_of(app).create(id, edit())
        assert await interventions_of(app).of(id) == [made]
        assert len(source.pair.target.patched) == 1  # by the job that was taken up again, for whoever asks


async def test_one_that_a_server_has_left_is_made_at_the_next_start(settings: Settings) -> None:
    source = FakeSource()
    async with running(settings, source) as app:
        id = (await finish(analyses_of(app), chat())).id
        async with at_work(app, source.pair, id, until_the_end=True) as asked:
            (pending,) = await interventions_of(app).pending(id, position=3)
            assert (pending.request.text, pending.pair, pending.progress.stage) == (
                "about dogs",
                "fake",
                "reconstruct",
            )
    with pytest.raises(Interrupted):
        await asked
    async with running(settings, FakeSource()) as app:
        service = interventions_of(app)
        events = [event async for event in service.events(id, pending.id)]
        (found,) = await service.of(id)
        assert (events[-1].kind, events[-1].data) == ("done", found)
        assert (found.id, found.url, found.created) == (pending.id, pending.url, pending.created)
        assert await service.pending(id) == []


async def test_its_progress_is_told_to_the_end(app: FastAPI, id: str, pair: FakePair) -> None:
    service = interventions_of(app)
    async with at_work(app, pair, id, mode="steer", sweep=[0.5, 2.0]) as asked:
        (pending,) = await service.pending(id)
        watching = service.events(id, pending.id)
        assert (await anext(watching)).data.stage == "reconstruct"
    told = [event async for event in watching]
    assert told[-1].data == (await asked)[0]
    stages = list(dict.fromkeys(event.data.stage for event in told[:-1]))  # what is true now, not every step
    assert stages == [stage for stage in ("patch", "sweep", "done") if stage in stages]
    assert stages[-1] == "done"
    assert [event.id for event in told] == sorted(event.id for event in told)


async def test_one_alone_is_cancelled(app: FastAPI, id: str, pair: FakePair) -> None:
    service = interventions_of(app)
    done = await made(app, id, text="about fish")
    async with at_work(app, pair, id) as asked:
        (pending,) = await service.pending(id)
        watching = service.events(id, pending.id)
        await anext(watching)
        await service.cancel_one(id, done.id)
        await service.cancel_one(id, pending.id)
        with pytest.raises(Conflict, match="cancelled before it was made"):
            await asked
    last = [event async for event in watching][-1]
    assert (last.kind, last.data.status) == ("failed", "cancelled")
    assert await service.of(id) == [done]
    with pytest.raises(NotFound):
        await service.cancel_one(id, pending.id)


async def test_why_it_failed_is_told_to_whoever_watches(app: FastAPI, id: str, pair: FakePair) -> None:
    async with at_work(app, pair, id, mode="steer", text=text_of(h(3))) as asked:
        (pending,) = await interventions_of(app).pending(id)
        watching = interventions_of(app).events(id, pending.id)
        await anext(watching)
    with pytest.raises(BadInput, match="no direction"):
        await asked
    last = [event async for event in watching][-1].data
    assert (last.status, last.field) == ("failed", "text")
    assert last.error.startswith("These words say what they are to be steered away from")


@pytest.mark.parametrize(
    "text", ["a\0b\0", "\N{CAT FACE}\N{ZERO WIDTH JOINER}", "\\u0000 \\ud800", "\u2028\x85\r\n"]
)
async def test_any_text_survives(app: FastAPI, id: str, text: str) -> None:
    found = await made(app, id, text=text, targets=[text])
    (again,) = await interventions_of(app).of(id)
    assert again == found
    assert (again.request.text, again.after.targets[0].text) == (text, text)
