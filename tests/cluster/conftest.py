"""A Ray cluster of three nodes on this machine, and the explorer on it. They run where Ray is (the extra `ray`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bench.machine import RAY
from server.app import create_app
from server.settings import Settings
from tests.conformance.families import FAMILIES
from tests.conformance.made import Made, make
from tests.conftest import client_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray's own warnings are its own affair."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head, on which no model stands, and two further nodes, each with room for all models: one may be lost."""
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (RAY | {"OMP_NUM_THREADS": "1"}).items():
            patch.setenv(name, value)
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        found.add_node(num_cpus=6)
        found.add_node(num_cpus=6)
        yield found
        if ray.is_initialized():
            serve.shutdown()
            ray.shutdown()
        found.shutdown()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A tiny pair."""
    return make(FAMILIES[0], tmp_path_factory.mktemp("tiny"))


@asynccontextmanager
async def explored(
    made: Made, work: Path, cluster: Any = None, **settings: Any
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The explorer on a pair, with its models in the cluster if one is given, and a client of it."""
    common = {"pair": "tiny", "pairs_file": made.file, "verbaliser": "transformers"}
    # One cache for all: a pair with the same settings is not deployed again.
    common |= {"data_dir": work / "data", "cache_dir": made.root / "cache"}
    where = {"models": "ray", "ray_address": cluster.address, "ray_replicas": "av=2"} if cluster else {}
    chosen = Settings(**common | where | settings)
    app = create_app(chosen)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        yield app, client
