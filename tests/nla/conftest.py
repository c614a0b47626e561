"""The real demo pair, built once into the user's cache directory and shared by all tests of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.nla.checkpoints.pairs import DEFAULT, catalogue, fetch
from server.nla.models.loaded_pair import LoadedPair, load
from server.settings import Settings


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    return Settings().cache_dir


@pytest.fixture(scope="session")
def places(cache_dir: Path) -> dict[str, Path]:
    return fetch(catalogue(None, cache_dir)[DEFAULT], cache_dir, lambda _: None)


@pytest.fixture(scope="session")
def pair(cache_dir: Path, places: dict[str, Path]) -> Iterator[LoadedPair]:
    loaded = asyncio.run(load(catalogue(None, cache_dir)[DEFAULT], cache_dir=cache_dir))
    yield loaded
    asyncio.run(loaded.close())


@pytest.fixture(scope="session")
def tokenizer(pair: LoadedPair) -> Any:
    return pair.prompter.tokenizer


@pytest.fixture(scope="session")
def ids(pair: LoadedPair) -> list[int]:
    return pair.prompter.encode([("user", "Why do cats purr when they sleep?")], None)
