"""The head of a cluster that is lost: servers say so, end, and go on where they were when they are started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bench.machine import RAY
from tests.cluster.comparing import LONG
from tests.conformance.made import Made

pytest.importorskip("ray")
pytestmark = pytest.mark.usefixtures("plain_environment")
ROOT = Path(__file__).parents[2]
LOST = "15"
"""Seconds after which what Ray has here gives the head up; its own default is 60."""
ENVIRONMENT = RAY | {"RAY_gcs_rpc_server_reconnect_timeout_s": LOST, "OMP_NUM_THREADS": "1"}
NODES = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=4)
print(cluster.address, flush=True)
input()
cluster.remove_node(cluster.head_node, allow_graceful=False)
print("lost", flush=True)
input()
"""


@contextmanager
def nodes() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A cluster of two nodes in processes of its own, and its address. It loses its head at a line of input."""
    process = subprocess.Popen(
        [sys.executable, "-c", NODES],
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def server(made: Made, work: Path, address: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """The command line's server on that cluster, and a client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "NLA_PAIR": "tiny",
        "NLA_PAIRS_FILE": str(made.file),
        "NLA_VERBALISER": "transformers",
        "NLA_DATA_DIR": str(work / "data"),
        "NLA_CACHE_DIR": str(work / "cache"),
        "NLA_EXAMPLES": "false",
        "NLA_BATCH_WINDOW": "4",
        "NLA_MODELS": "ray",
        "NLA_RAY_ADDRESS": address,
    }
    command = [sys.executable, "-m", "server.cli", "serve", "--port", str(port)]
    with (work / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | ENVIRONMENT | settings, stdout=log, stderr=log
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            yield client, process
        finally:
            process.terminate()
            process.wait()


def answers(client: httpx.Client, process: subprocess.Popen[bytes], status: int) -> str:
    """Wait until /readyz answers so. Returns what it says."""
    while process.poll() is None:
        try:
            found = client.get("/readyz")
        except httpx.TransportError:
            time.sleep(0.1)  # it does not listen yet
            continue
        if found.status_code == status:
            return found.text
        time.sleep(0.1)
    raise AssertionError(f"the server has ended with {process.returncode}")


def test_nothing_is_lost_with_it(made: Made, tmp_path: Path) -> None:
    with nodes() as (address, cluster), server(made, tmp_path, address) as (client, process):
        assert cluster.stdin is not None and cluster.stdout is not None
        answers(client, process, 200)
        path = f"/api/analyses/{client.post('/api/analyses', json=LONG).json()['id']}"
        while not (before := client.get(path).json()["readings"]):
            pass
        print(file=cluster.stdin, flush=True)
        assert cluster.stdout.readline().strip() == "lost"
        assert "is its head there?" in answers(client, process, 503)
        assert process.wait() != 0  # for whatever starts it again
    with nodes() as (address, _), server(made, tmp_path, address) as (client, process):
        answers(client, process, 200)
        while (after := client.get(path).json())["status"] != "done":
            assert after["status"] in ("queued", "running"), after["error"]
    found = {reading["position"]: reading for reading in after["readings"]}
    assert len(found) == len(after["tokens"])
    assert [found[reading["position"]]["text"] for reading in before] == [
        reading["text"] for reading in before
    ]
