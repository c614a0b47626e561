"""Engines of servers that are gone are ended; those of living ones are left, whatever the clock says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]
import pytest

from server.nla.verbalisers.stale_engines import OWNER, end_stale_engines, engine_processes, mark_engines

WAITING = [sys.executable, "-c", "print(flush=True); input()"]
"""A process that waits for a line, or for the end of its input."""


def started(owner: str) -> subprocess.Popen[bytes]:
    """A process with that mark, which has begun."""
    process = subprocess.Popen(
        WAITING, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {OWNER: owner}
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """An engine of this process."""
    monkeypatch.setenv(OWNER, "")
    mark_engines()
    with started(os.environ[OWNER]) as engine:
        yield engine
        engine.kill()


def test_an_engine_of_a_server_that_is_gone_is_ended(mine: subprocess.Popen[bytes]) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    pid, start = os.environ[OWNER].split()
    gone.wait()
    for owner in (f"{gone.pid} {start}", f"{pid} 0"):  # its id is free, or a later process's
        with started(owner) as engine:
            assert engine_processes()[engine.pid] == owner
            end_stale_engines()
            assert engine.wait() == -9
    assert mine.poll() is None


def test_an_engine_of_a_living_server_is_left_when_the_clock_is_set(
    mine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = psutil.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: begun + 3600)
    end_stale_engines()
    assert mine.stdin is not None
    mine.stdin.close()  # now it ends by itself, if it has not been ended
    assert mine.wait() == 1
