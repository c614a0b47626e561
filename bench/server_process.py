"""The command-line server in a process of its own: on fake models, or of another checkout."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
READINGS = 10**9
"""Readings that the fake AV writes before it would wait."""
Serving = tuple[str, subprocess.Popen[bytes]]
"""The address of a server, and its process."""


def fake_server(folder: Path, pace: float = 0.0) -> AbstractContextManager[Serving]:
    """Serve from a folder, on fake models: for benchmarks of all but the models. A reading takes `pace` seconds."""
    fakes = {"NLA_EXAMPLES": "false", "FAKE_READINGS": str(READINGS), "FAKE_PACE": str(pace)}
    return _served(["tests.api.serving", "serve", "--pair", "fake"], ROOT, folder, fakes)


def other_server(checkout: Path, folder: Path) -> AbstractContextManager[Serving]:
    """Serve from a folder what another checkout of this repository serves, in this environment."""
    found = checkout.resolve()
    return _served(["server.cli", "serve"], found, folder, {"PYTHONPATH": str(found)})


@contextmanager
def _served(command: list[str], root: Path, folder: Path, variables: Mapping[str, str]) -> Iterator[Serving]:
    """Start a server, and go on once its pair is resident."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, **variables, "NLA_DATA_DIR": str(folder)}
    whole = [sys.executable, "-m", *command, "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(whole, cwd=root, env=environment, stdout=log, stderr=log)
        try:
            while not _ready(address):
                if process.poll() is not None:
                    raise SystemExit(f"The server ended before it was ready:\n{(folder / 'log').read_text()}")
                time.sleep(0.2)
            yield address, process
        finally:
            process.terminate()
            process.wait()


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False
