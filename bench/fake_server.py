"""The command-line server on fake models, in a process of its own: for benchmarks of everything but the models."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
READINGS = 10**9
"""Readings that the fake AV writes before it would wait."""


@contextmanager
def fake_server(folder: Path, pace: float = 0.0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve from a folder, once the fakes are there: the address, and the process. A reading takes `pace` seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.api.serving", "serve", "--port", str(port), "--pair", "fake"]
    environment = {
        **os.environ,
        "NLA_DATA_DIR": str(folder),
        "NLA_EXAMPLES": "false",
        "FAKE_READINGS": str(READINGS),
        "FAKE_PACE": str(pace),
    }
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        while not ready(address):
            if process.poll() is not None:
                raise SystemExit(f"The server ended before it was ready:\n{(folder / 'log').read_text()}")
            time.sleep(0.2)
        yield address, process
    finally:
        process.terminate()
        process.wait()
        log.close()


def ready(address: str) -> bool:
    """Return whether a server has its models."""
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False
