"""Engines whose server is gone: their processes know whose they were, so that the next server can end them."""

from __future__ import annotations

import logging
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)
OWNER = "NLA_ENGINE_OF"
"""Variable by which an engine's processes are known as a server's."""


def mark_engines() -> None:
    """Mark whatever this process starts from here on as its own."""
    os.environ[OWNER] = _owners()[os.getpid()]


def end_stale_engines() -> None:
    """End engines whose server is gone: killed outright it could not end them, and they keep its memory."""
    alive = set(_owners().values())
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


def _owners() -> dict[int, str]:
    """A name of every living process that no later one has: its id and its start.

    The start is in ticks since the machine's own (proc(5), field 22 of `stat`). As a time of day it would move when the
    clock is set, and the engines of a living server would be ended.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found[int(folder.name)] = f"{folder.name} {fields[19]}"
    return found
