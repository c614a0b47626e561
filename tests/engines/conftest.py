"""The engines that read with the demo pair's AV: the same tests for each. They run where vLLM is (.ci/vllm-env)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import yaml
from transformers import AutoTokenizer

from server.nla.checkpoints.pairs import DEFAULT, catalogue
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.specs import AvSpec, read_av
from server.nla.memory.estimates import MaxLengths
from server.nla.plan_cli import plan_av
from server.nla.types import Floats
from server.nla.verbalisers.base import Finished, Outcome, ReadingRequest, Verbaliser
from server.nla.verbalisers.factory import Serving, make_verbaliser
from tests.cluster.conftest import cluster
from tests.nla.conftest import cache_dir, places

__all__ = ["cache_dir", "cluster", "places"]

LONGEST = 96
SHORT = 16
"""Tokens of readings that need not end."""
OPTIONS = {"max_num_seqs": 64, "kv_cache_memory_bytes": 2**29}


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """vLLM leaves contexts of ZeroMQ to the garbage collector, which may come to them when the last test has ended: no
    test's filters hold then, and the run would fail after all its tests have passed.
    """
    warnings.filterwarnings("ignore", "Unclosed context", ResourceWarning)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """vLLM's own warnings are its own affair; one event loop serves all tests, since the engines live on it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def spec(places: dict[str, Path]) -> AvSpec:
    return read_av(places["av"])


@pytest.fixture(scope="session")
def activations(places: dict[str, Path]) -> Floats:
    """Thirty positions of a text, [30, d]."""
    from transformers import AutoModelForCausalLM

    from server.nla.models.target import TargetModel

    tokenizer = AutoTokenizer.from_pretrained(places["target"])
    model = AutoModelForCausalLM.from_pretrained(places["target"], dtype=torch.float32)
    text = (
        "The lighthouse keeper counted the ships each evening and wrote their names in a heavy book. One night a "
        "small boat without a name came in from the north, and nobody was on board."
    )
    return TargetModel(model, 20).trace(tokenizer(text)["input_ids"][:30]).activations


def engine(name: str, spec: AvSpec, **serving: Any) -> Verbaliser:
    """An engine of that name, yet to be opened."""
    from threading import Lock

    chosen = Serving(name, max_lengths=MaxLengths(reading=LONGEST), **({"options": OPTIONS} | serving))
    return make_verbaliser(chosen, plan_av(chosen, spec), spec, Lock(), lambda _: None)


class Server:
    """A real `vllm serve` on loopback, which can be killed and started again at its address."""

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # What `vllm serve` runs: the CPU build's own command stumbles over the name of its package.
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.folder),
            "--enable-prompt-embeds",
            "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32", "--block-size", "32",
            "--enforce-eager", "--max-model-len", "256", "--max-num-seqs", "64",
            "--kv-cache-memory-bytes", str(2**29), "--enable-prompt-tokens-details",
            "--scheduling-policy", "priority",
        ]  # fmt: skip
        with self.log.open("ab") as out:
            environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, env=environment, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers; its log is shown if it does not."""
        end = time.monotonic() + 400
        while time.monotonic() < end:
            assert self.process is not None and self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise AssertionError(self.log.read_text()[-4000:])

    def kill(self) -> None:
        """The whole family, at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[Server]:
    """A server of the AV in `folder`."""
    server = Server(folder, log)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def server(spec: AvSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A vLLM server that holds the demo's AV folder as it is."""
    with serving(spec.folder, tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="module", params=["transformers", "vllm", "vllm-server", "vllm on a cluster"])
async def av(
    request: pytest.FixtureRequest, spec: AvSpec, cache_dir: Path, anyio_backend: str
) -> AsyncIterator[Verbaliser]:
    """Each engine in turn."""
    match request.param:
        case "vllm-server":
            opened = engine("vllm-server", spec, urls=[request.getfixturevalue("server").url])
        case "vllm on a cluster":
            opened = await replica(request.getfixturevalue("cluster").address, cache_dir)
        case name:
            opened = engine(name, spec)
    await opened.open()
    yield opened
    await opened.close()


async def replica(address: str, cache_dir: Path) -> Verbaliser:
    """The demo pair's AV on vLLM in a replica on a cluster."""
    from ray import serve

    from server.nla.cluster.bounds import Bounds, ClusterSettings
    from server.nla.cluster.clients import ClusterVerbaliser, ModelClient
    from server.nla.cluster.deployments import application, connect
    from server.nla.cluster.replicas import PairOrder
    from server.nla.cluster.watch import ReplicaWatch

    name = "engines.av"
    chosen = Serving("vllm", max_lengths=MaxLengths(reading=LONGEST), options=OPTIONS)
    order = PairOrder(catalogue(None, cache_dir)[DEFAULT], cache_dir, chosen)
    await asyncio.to_thread(connect, address)
    asked = application(
        order, "av", ClusterSettings(address, {"av": Bounds()}, os.cpu_count() or 1), None, name
    )
    await asyncio.to_thread(serve.run_many, [asked])
    client = ModelClient("AV", serve.get_app_handle(name))
    return ClusterVerbaliser(client, await client.ask("facts"), 1, ReplicaWatch({"AV": name}))


async def outcomes(av: Verbaliser, requests: list[ReadingRequest], **settings: Any) -> list[Outcome]:
    """Everything that the engine says of some orders."""
    settings = {"temperature": 0.0, "max_new_tokens": LONGEST, "seed": 0} | settings
    return [outcome async for outcome in av.stream(requests, **settings)]


def ordered(activations: Floats) -> list[ReadingRequest]:
    """One order a row, of which the first is watched."""
    return [ReadingRequest(n, row, watched=n == 0) for n, row in enumerate(activations)]


def finished(said: list[Outcome]) -> dict[Any, Finished]:
    """The whole readings by key."""
    return {outcome.key: outcome for outcome in said if isinstance(outcome, Finished)}


async def until(condition: Any, seconds: float = 400.0) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells of another process's end
            await asyncio.sleep(0.05)


def copy_with(folder: Path, to: Path, template: str) -> Path:
    """A copy of an AV folder with another prompt template; what stands around its marker must be as before."""
    shutil.copytree(folder, to)
    sidecar = yaml.safe_load((to / SIDECAR).read_text())
    sidecar["prompt_templates"]["av"] = template
    (to / SIDECAR).write_text(yaml.safe_dump(sidecar))
    return to
