"""Engines whose server is gone: their processes know whose they were, so that the next server can end them."""

from __future__ import annotations

import logging
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

_log = logging.getLogger(__name__)
OWNER = "NLA_ENGINE_OF"
"""Variable by which an engine's processes are known as a server's."""


def mark_engines() -> None:
    """Whatever this process starts from here on is known as its own."""
    os.environ[OWNER] = _owner(psutil.Process())


def end_stale_engines() -> None:
    """End engines whose server is gone: killed outright it could not end them, and they keep its memory."""
    alive = {_owner(p) for p in psutil.process_iter() if p.status() != psutil.STATUS_ZOMBIE}
    for pid, owner in engine_processes().items():
        if owner not in alive:
            _log.warning("ending process %d, an engine that a killed server left", pid)
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)


def engine_processes() -> dict[int, str]:
    """The owner of every process that belongs to an engine."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # Searched as bytes: vLLM writes names over the beginning, and what reads it in order stops there.
        with suppress(OSError):  # it has just ended, or is somebody else's
            if mark := re.search(rb"\0%s=([^\0]+)" % OWNER.encode(), (folder / "environ").read_bytes()):
                found[int(folder.name)] = mark[1].decode()
    return found


def _owner(process: psutil.Process) -> str:
    """A name of a process that no later one has."""
    return f"{process.pid} {process.create_time():.2f}"
