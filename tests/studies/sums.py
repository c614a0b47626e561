"""A pair that multiplies, and studies of it: the target answers the last problem of its prompt, sometimes wrongly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from server.studies.requests import Request, StudyRequest
from server.studies.schema import Study
from server.studies.service import Studies
from tests.fakes import END, FakePair, FakeSource, FakeTarget

ASKED: TypeAdapter[Request] = TypeAdapter(StudyRequest)


class Multiplying(FakeTarget):
    """Answers ` product`, one more where that can be divided by 3; whatever else, as its kind does."""

    async def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], None],
    ) -> list[int]:
        asked = re.findall(r"(\d+) \* (\d+)", "".join(chr(id) for id in ids))
        if not asked:
            return await super().generate(
                ids, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, on_token=on_token
            )
        self.generated += 1
        await self._work()
        a, b = asked[-1]
        product = int(a) * int(b)
        told = [*map(ord, f" {product + (product % 3 == 0)}"), END][:max_new_tokens]
        for id in told:
            on_token(id)
        return told


def multiplying() -> FakeSource:
    """Where the pair comes from."""
    return FakeSource(FakePair(target=Multiplying()))


def asked(problems: int = 5, **more: Any) -> Request:
    """A small study of multiplication."""
    return ASKED.validate_python(
        {"kind": "multiplication", "problems": problems, "factors": [[20, 99], [2, 9]], "seed": 7, **more}
    )


def prompts(**more: Any) -> Request:
    """A study of prompts, as raw text."""
    return ASKED.validate_python({"kind": "prompts", "raw": True, **more})


def studies_of(app: FastAPI) -> Studies:
    """The app's service."""
    service: Studies = app.state.studies
    return service


async def made(app: FastAPI, request: Request) -> Study:
    """Ask, and wait for the end."""
    id, _ = await studies_of(app).submit(request)
    return await ended(app, id)


async def ended(app: FastAPI, id: str) -> Study:
    """The study, at its end."""
    async for _ in studies_of(app).events(id):
        pass
    return await studies_of(app).get(id)


def readings_of(study: Study) -> int:
    """How many readings its cases have: of each digit, and of the token before the first."""
    return sum(len(case.digits) + 1 for case in study.cases)
