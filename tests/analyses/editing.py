"""Interventions to ask for, and looking at what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from server.errors import BadInput
from server.interventions.schema import Control, Intervention, InterventionRequest
from server.interventions.service import Interventions
from server.nla.patching.patches import Patch
from server.store.tables import InterventionRow
from tests.fakes import END, START, FakePair, activation, held

IDS = [START, *map(ord, "cats purr"), END, START]
"""The tokens of the prompt; the reply follows."""
SAMPLES = {"verbalise": {"samples": 2, "temperature": 1.0}}


def interventions_of(app: FastAPI) -> Interventions:
    """The app's service."""
    service: Interventions = app.state.interventions
    return service


def edit(position: int = 3, text: str = "about dogs", **more: Any) -> InterventionRequest:
    """A request: other words at a position, in the activation's place."""
    return InterventionRequest.model_validate({"position": position, "text": text, **more})


async def made(app: FastAPI, id: str, **more: Any) -> Intervention:
    """Ask for an edit."""
    return (await interventions_of(app).create(id, edit(**more)))[0]


async def refused(app: FastAPI, id: str, **more: Any) -> tuple[str | None, str]:
    """The field at fault, and what is wrong with it."""
    with pytest.raises(BadInput) as caught:
        await made(app, id, **more)
    return caught.value.field, caught.value.detail


def named(intervention: Intervention) -> dict[str, Control]:
    """The controls by their kind."""
    return {control.kind: control for control in intervention.controls}


def h(position: int) -> Any:
    """The activation there."""
    return activation(IDS[: position + 1])


def patches(pair: FakePair) -> list[Patch]:
    """Those of the last intervention: the edit, sixteen random ones, the reading as it is, others."""
    return pair.target.patched[-1][1]


@asynccontextmanager
async def at_work(
    app: FastAPI, pair: FakePair, id: str, *, until_the_end: bool = False, **more: Any
) -> AsyncIterator[asyncio.Task[Any]]:
    """Somebody who asks for an edit, which does not go on before the end of the block (or of the server)."""
    pair.reconstructor.begun.clear()
    with nullcontext() if until_the_end else held(pair.reconstructor.hold):
        pair.reconstructor.hold.clear()
        asked = asyncio.create_task(interventions_of(app).create(id, edit(**more)))
        await asyncio.to_thread(pair.reconstructor.begun.wait)
        yield asked


async def kept(app: FastAPI) -> int:
    """How many are in the database."""
    count = select(func.count()).select_from(InterventionRow)
    found: int = await app.state.store.read(lambda session: session.scalar(count))
    return found
