"""Turns at the resident pair, whoever comes, goes and is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.pairs.catalogue import LayerKey
from server.pairs.model_pool import ModelPool
from tests.interleavings import play, runs

pytestmark = pytest.mark.anyio


class LightPair:
    """A pair that is nothing but resident."""

    async def close(self) -> None:
        """Nothing is held."""


class LightSource:
    """Pairs that load at once."""

    def names(self) -> list[str]:
        return ["a", "b"]

    def describe(self) -> list[dict[str, Any]]:
        return []

    def layer_key(self, name: str) -> LayerKey:
        return LayerKey("target", 1)

    async def load(self, name: str, progress: Callable[[str], None]) -> Any:
        return LightPair()


@pytest.mark.parametrize("wanted", ["aba", "abb"])
async def test_no_order_of_entering_leaving_and_cancelling_loses_a_turn(wanted: str) -> None:
    models = ModelPool("a", LightSource(), ["b"])  # type: ignore[arg-type]
    models.start()
    await models.settled()
    for run in runs():
        await play(run, lambda n: models.acquire(wanted[n]))
        turns = models._turns
        assert (turns.holders, list(turns.waited_for())) == (0, []), run
        for name in "ab":
            async with asyncio.timeout(10), models.acquire(name):
                assert models.name == name
    await models.close()
