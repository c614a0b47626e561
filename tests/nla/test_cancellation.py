"""Work on a thread ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from server.nla.cancellation import check_cancelled, run_cancellable
from server.nla.models.loaded_pair import LoadedPair
from server.nla.patching.patched_forward import Continuation
from server.nla.patching.patches import replacing

pytestmark = pytest.mark.anyio


@pytest.fixture
def lane() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def endless(begun: threading.Event, ended: threading.Event) -> None:
    begun.set()
    try:
        while not threading.Event().wait(0.001):
            check_cancelled()
    finally:
        ended.set()


async def test_work_that_has_begun_ends_at_its_next_check(lane: ThreadPoolExecutor) -> None:
    begun, ended = threading.Event(), threading.Event()
    task = asyncio.create_task(run_cancellable(lane, endless, begun, ended))
    await asyncio.to_thread(begun.wait)
    await cancelled(task)
    assert await asyncio.to_thread(ended.wait, 30)
    assert await run_cancellable(lane, lambda: "the thread is free") == "the thread is free"


async def test_work_that_has_not_begun_never_begins(lane: ThreadPoolExecutor) -> None:
    hold, second = threading.Event(), threading.Event()
    first = asyncio.create_task(run_cancellable(lane, hold.wait))
    waiting = asyncio.create_task(run_cancellable(lane, second.set))
    await asyncio.sleep(0)
    await cancelled(waiting)
    hold.set()
    assert await first
    await run_cancellable(lane, lambda: None)  # whatever came before it has had its turn
    assert not second.is_set()


async def test_others_on_the_same_thread_are_not_cancelled_with_it(lane: ThreadPoolExecutor) -> None:
    begun, ended = threading.Event(), threading.Event()
    task = asyncio.create_task(run_cancellable(lane, endless, begun, ended))
    after = asyncio.create_task(run_cancellable(lane, check_cancelled))
    await asyncio.to_thread(begun.wait)
    await cancelled(task)
    await after


def test_elsewhere_a_check_does_nothing() -> None:
    check_cancelled()


@pytest.fixture
def steps(pair: LoadedPair, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """One is released for each forward pass of the target."""
    passed = threading.Semaphore(0)
    hook = pair.target.model.model.model.register_forward_hook(lambda *_: passed.release())
    yield passed
    hook.remove()


@pytest.mark.parametrize("what", ["reply", "patched"])
async def test_the_target_stops_between_two_tokens(
    pair: LoadedPair, steps: threading.Semaphore, what: str
) -> None:
    ids = pair.prompter.encode(None, "The capital of France is")
    patch = replacing(3, pair.target.model.trace(ids).activations[3])
    target = pair.target.model
    endless = vars(target)["stop_ids"]
    # Those of transformers itself stay there once hidden states have been asked for.
    hooks = [len(block._forward_hooks) for block in target.model.model.layers]
    target.stop_ids = frozenset()

    async def reply() -> None:
        await pair.target.generate(ids, max_new_tokens=5000, temperature=0, seed=0, on_token=lambda _: None)

    async def patched() -> None:
        async for _ in pair.target.patched_forward(ids, [patch], [], Continuation(5000)):
            pass

    works = {"reply": reply, "patched": patched}
    try:
        task = asyncio.create_task(works[what]())
        for _ in range(4):
            await asyncio.to_thread(steps.acquire)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.wait_for(pair.target.trace(ids), 60)
    finally:
        target.stop_ids = endless
    assert [len(block._forward_hooks) for block in target.model.model.layers] == hooks
