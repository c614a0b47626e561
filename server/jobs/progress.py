"""States and progress of a job."""

from __future__ import annotations

from typing import Literal

from server.schema import ResponseModel

Status = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: frozenset[str] = frozenset({"done", "failed", "cancelled"})
"""The states that nothing follows until somebody asks again."""


class Progress(ResponseModel):
    """Progress of a job. stage, of an analysis: queued, loading, waiting, reply, lens, readings, tuned_lens, done,
    failed or cancelled.

    `done` of `total` readings are scored; `fraction` (0 to 1) also counts what is written of the others.
    `ahead` counts the analyses in front of a queued one; `message` says in words what is waited for.
    """

    stage: str
    done: int = 0
    total: int | None = None
    fraction: float | None = None
    seconds_left: float | None = None
    ahead: int | None = None
    message: str | None = None
