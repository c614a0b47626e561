"""`python -m bench.scale`: one server before 1 to 64 replicas that only wait as long as an H200 computes, with 10 to
10,000 at its pages.

Simulated: each replica of the AV reads up to `--seats` activations at a time and takes `--reading` seconds for each,
its words in messages as from the cluster; for each there is an AR that takes `--score` milliseconds a reading.
With `--ray` such an AV stands in replicas on a real Ray cluster of this machine: its messages cost what they do.
Real: jobs, database, events, pages. Each replica has an analysis to read and another waiting. Those at the pages are
clients of the app in the same process, without sockets, spread over all analyses.

Prints a line for each number of replicas and of watchers: readings a second, what share that is of what the replicas
could do, how busy the process is, what a reading costs it, and how long after the last reading the last page has it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI

from bench.machine import RAY, machine
from bench.viewers import LETTERS, Instant, ended, explored
from server.nla.cluster.bounds import Bounds, ClusterSettings
from server.nla.cluster.replicas import CALM, PAUSE, VerbaliserFacts, VerbaliserReplica
from server.nla.verbalisers.base import Finished, Outcome, ReadingRequest, TextDelta
from server.nla.verbalisers.vllm_requests import EVERY
from tests.fakes import FakePair, FakeReconstructor, FakeVerbaliser, Vector, text_of

WORDS = " It seems to be about what comes next, and about how sure the text is of that."
"""Letters that a reading takes from one after the other, one for each token; there is a token in each message."""


class SleepingVerbaliser(FakeVerbaliser):
    """Replicas of an AV that wait as long as one on a GPU would compute."""

    def __init__(self, replicas: int, seats: int, seconds: float) -> None:
        super().__init__(None)
        self._tokens = max(1, round(seconds / PAUSE))
        self._door = asyncio.Lock()
        """Held by the call that waits for seats."""
        self._free = asyncio.Semaphore(replicas * seats)

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncGenerator[Outcome, None]:
        async with self._door:
            for _ in requests:
                await self._free.acquire()
        said = "".join(itertools.islice(itertools.cycle(WORDS), self._tokens))
        try:
            told = dict.fromkeys((request.key for request in requests), 0)
            step = 1 if any(request.watched for request in requests) else round(CALM / PAUSE)
            for n in range(step, self._tokens + 1, step):
                await asyncio.sleep(step * PAUSE)
                for request in requests:
                    if request.watched or n // EVERY > told[request.key] // EVERY:
                        yield TextDelta(request.key, said[told[request.key] : n])
                        told[request.key] = n
            await asyncio.sleep(self._tokens % step * PAUSE)
            for request in requests:
                text = said + text_of(request.activation)
                yield TextDelta(request.key, text[told[request.key] :])
                yield Finished(request.key, text, False, self._tokens)
        finally:
            for _ in requests:
                self._free.release()


class SleepingReplica(VerbaliserReplica):
    """One of them in a replica on a cluster."""

    async def __init__(self, seats: int, seconds: float) -> None:  # type: ignore[misc]  # Serve awaits it
        self._failure, self._failed_at = None, 0.0
        self.model = SleepingVerbaliser(1, seats, seconds)

    def check_health(self) -> None:
        """It is well."""


class SleepingReconstructor(FakeReconstructor):
    """Replicas of an AR, each with one call at a time."""

    def __init__(self, replicas: int, seconds: float) -> None:
        super().__init__()
        self._free = asyncio.Semaphore(replicas)
        self._seconds = seconds

    async def reconstruct(self, texts: Sequence[str]) -> Vector:
        async with self._free:
            await asyncio.sleep(self._seconds * len(texts))
        return await super().reconstruct(texts)


async def on_cluster(replicas: int, seats: int, seconds: float) -> Any:
    """Replicas of such an AV on a cluster of one node, which is started if there is none."""
    from ray import serve
    from ray.cluster_utils import Cluster

    from server.nla.cluster.clients import ClusterVerbaliser, ModelClient
    from server.nla.cluster.deployments import ONGOING, connect
    from server.nla.cluster.watch import ReplicaWatch

    if not CLUSTER:
        CLUSTER.append(
            Cluster(initialize_head=True, head_node_args={"num_cpus": 1000, "include_dashboard": False})
        )
    connect(CLUSTER[0].address)
    deployment = serve.deployment(SleepingReplica).options(
        name="av", num_replicas=replicas, max_ongoing_requests=ONGOING, ray_actor_options={"num_cpus": 1}
    )
    handle = await asyncio.to_thread(serve.run, deployment.bind(seats, seconds), name="av", route_prefix=None)
    facts = VerbaliserFacts(0.0, "", "vllm", seats)
    return ClusterVerbaliser(ModelClient("AV", handle), facts, replicas, ReplicaWatch({}))


CLUSTER: list[Any] = []


async def watch(app: FastAPI, path: str) -> int:
    """Read a stream to its end and keep none of it. Returns its bytes."""
    sent = 0
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()  # the client stays
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


async def measured(options: argparse.Namespace, replicas: int, watchers: int) -> str:
    """One line of the table."""
    count = 2 * replicas
    if options.ray:
        verbaliser = await on_cluster(replicas, options.seats, options.reading)
    else:
        verbaliser = SleepingVerbaliser(replicas, options.seats, options.reading)
    pair = FakePair(
        target=Instant(),
        verbaliser=verbaliser,
        reconstructor=SleepingReconstructor(replicas, options.score / 1000),
    )
    limits = {"max_running": count, "max_queue": max(200, count), "database_url": options.database}
    async with explored(pair, max_prompt_tokens=options.positions, **limits) as (app, client):
        pair.capacity = ClusterSettings("", {"av": Bounds(replicas, replicas)}).capacity(options.seats)
        began, cpu = time.perf_counter(), time.process_time()
        bodies = [{"text": text(options.positions)} for _ in range(count)]
        asked = [await client.post("/api/analyses", json=body) for body in bodies]
        ids = [answer.raise_for_status().json()["id"] for answer in asked]
        shown = itertools.islice(itertools.cycle(ids), watchers)
        streams = asyncio.gather(*(watch(app, f"/a/{id}/stream") for id in shown))
        await asyncio.gather(*(ended(app, id) for id in ids))
        seconds = time.perf_counter() - began
        sent = await streams
        later = time.perf_counter() - began - seconds
        spent = time.process_time() - cpu
    readings = count * options.positions
    # Read in turns of all seats; the AR goes on while the AV reads.
    turns = math.ceil(readings / (replicas * options.seats))
    least = turns * options.reading + min(readings, options.seats) * options.score / 1000
    sizes = f"{np.mean(sent) / 1e6:.2f}" if sent else ""
    return (
        f"| {replicas} | {watchers:,} | {readings:,} | {seconds:.1f} | {readings / seconds:,.0f} | "
        f"{least / seconds:.0%} | {spent / (seconds + later):.0%} | {1000 * spent / readings:.2f} | {sizes} | "
        f"{f'{later:.1f}' if sent else ''} |"
    )


NUMBERS = itertools.count(time.time_ns() // 1000)


def text(positions: int) -> str:
    """A text of so many tokens, which the fakes take from letters, that nobody has asked for at any server."""
    return f"{next(NUMBERS)} {LETTERS * (positions // len(LETTERS) + 1)}"[:positions]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--watchers", type=int, nargs="+", default=[0, 10, 100, 1000, 10_000])
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--seats", type=int, default=256)
    parser.add_argument("--reading", type=float, default=1.3, help="seconds (7B on an H200: an estimate)")
    parser.add_argument("--score", type=float, default=3.1, help="milliseconds of an AR (likewise)")
    parser.add_argument("--database", help="an empty PostgreSQL instead of SQLite")
    parser.add_argument("--ray", action="store_true", help="the AV's replicas on a cluster of this machine")
    options = parser.parse_args()
    os.environ |= RAY | {"OMP_NUM_THREADS": "1"}
    print(f"{machine()}, {'PostgreSQL' if options.database else 'SQLite'}", flush=True)
    print(
        "| replicas | watchers | readings | s | readings a second | of what they could | busy | CPU ms a reading | "
        "MB to a watcher | pages done later, s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for replicas, watchers in itertools.product(options.replicas, options.watchers):
        print(asyncio.run(measured(options, replicas, watchers)), flush=True)


if __name__ == "__main__":
    main()
