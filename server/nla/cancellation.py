"""Cancelling work on a model's thread: a thread cannot be interrupted, so the work looks between its steps."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
_cancelled: contextvars.ContextVar[threading.Event] = contextvars.ContextVar("cancelled")


def check_cancelled() -> None:
    """Raise asyncio.CancelledError if the caller of `run_cancellable` whose work this thread does was cancelled.

    Call it between steps that take long: tokens, batches. Elsewhere than in `run_cancellable` it does nothing.
    """
    cancelled = _cancelled.get(None)
    if cancelled is not None and cancelled.is_set():
        raise asyncio.CancelledError


async def run_cancellable(executor: Executor, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run `fn` on a thread of `executor`. When the caller is cancelled, work that has not begun never begins, and work
    that has ends at its next `check_cancelled`; the caller does not wait for that.
    """
    cancelled = threading.Event()

    def call() -> T:
        _cancelled.set(cancelled)
        return fn(*args, **kwargs)

    context = contextvars.copy_context()
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, context.run, call)
    except asyncio.CancelledError:
        cancelled.set()
        raise
