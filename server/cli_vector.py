"""`nla-explorer vector`: directions of one's own, made, read, scored and patched here; what is printed is JSON."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from server.analyses.schema import Verbalise
from server.api.models import TextScore, TextScores
from server.api.problems import field_errors
from server.api.vectors import MOST
from server.errors import NlaError
from server.in_process import in_process
from server.interventions.schema import InterventionRequest
from server.services import Services
from server.settings import Settings
from server.vectors.schema import Vector, VectorRequest

LARGEST = 20_000_000
"""Bytes of a file that is read."""
Answer = BaseModel | list[Vector]
_LIST: TypeAdapter[list[Vector]] = TypeAdapter(list[Vector])


def add_parsers(commands: Any) -> list[argparse.ArgumentParser]:
    """Add the command with its actions. Returns those, without the options that say which models they have."""
    vector = commands.add_parser("vector", help="make, read, score and patch vectors; prints JSON")
    actions = vector.add_subparsers(required=True, metavar="ACTION")

    make = actions.add_parser("make", help="keep a sum of activations, or the vector in a file")
    make.add_argument(
        "terms", nargs="*", metavar="ANALYSIS:POSITION[:WEIGHT]", help="the weight is 1 unless given"
    )
    make.add_argument("--file", type=Path, help="safetensors or JSON, in the place of terms")
    make.add_argument("--tensor", help="the name of one of several in that file")
    make.add_argument("--name", help="its name; the tokens or the file's, unless given")

    listed = actions.add_parser("list", help="list the newest")
    listed.add_argument("--limit", type=int, default=50, metavar="N", help="as many (50)")

    read = actions.add_parser("read", help="have the AV write of one, beside the readings of other tokens")
    read.add_argument("--samples", type=int, default=1, metavar="N", help="as many readings (1)")
    read.add_argument("--temperature", type=float, help="0 is greedy")
    read.add_argument("--max-new-tokens", type=int, default=200, metavar="N", help="of each reading (200)")
    read.add_argument("--seed", type=int, default=0, help="of the sampling (0)")

    score = actions.add_parser("score", help="score how much of one some texts hold")
    patch = actions.add_parser("patch", help="put one in an activation's place, beside its controls")
    for action in (read, score, patch):
        action.add_argument("vector", metavar="VECTOR", help="its id")
    score.add_argument("texts", nargs="+", metavar="TEXT", help="each is read back by the AR")
    patch.add_argument("analysis", metavar="ANALYSIS", help="the id of an analysis by the same pair")
    patch.add_argument("position", type=int, metavar="POSITION", help="the token; the first is 0")
    patch.add_argument("--mode", default="replace", choices=("replace", "steer"), help="replace unless given")
    patch.add_argument(
        "--alpha", type=float, help="of steer: the length of the step, of the activation's own"
    )
    patch.add_argument(
        "--scope", default="position", choices=("position", "onwards"), help="that token alone"
    )
    patch.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="WORD",
        help="a word that is expected next; may be repeated",
    )

    work: list[tuple[argparse.ArgumentParser, Callable[..., Coroutine[Any, Any, Answer]]]] = [
        (make, _make), (listed, _list), (read, _read), (score, _score), (patch, _patch),
    ]  # fmt: skip
    for action, make_answer in work:
        action.set_defaults(run=run, work=make_answer)
    return [action for action, _ in work]


def run(options: argparse.Namespace, settings: Settings) -> int:
    """The command."""
    try:
        answer = asyncio.run(_working(options, settings))
    except ValidationError as error:
        raise NlaError("; ".join(f"{e.field}: {e.detail}" for e in field_errors(error.errors()))) from error
    print(_LIST.dump_json(answer).decode() if isinstance(answer, list) else answer.model_dump_json())
    return 0


async def _working(options: argparse.Namespace, settings: Settings) -> Answer:
    async with in_process(settings) as services:
        answer: Answer = await options.work(services, options)
        return answer


async def _make(services: Services, options: argparse.Namespace) -> Vector:
    if options.file is not None:
        if options.terms:
            raise NlaError("Give terms or --file, not both.")
        return (
            await services.vectors.upload(
                _data(options.file),
                file=options.file.name,
                name=options.name,
                pair=options.pair,
                tensor=options.tensor,
            )
        )[0]
    typed = {"name": options.name, "sum": [_term(t) for t in options.terms]}
    request = VectorRequest.model_validate(typed, strict=False)
    return (await services.vectors.create(request))[0]


def _data(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST:
            raise NlaError(f"{file} is larger than the {LARGEST:,} bytes that a vector may have.")
        return file.read_bytes()
    except OSError as error:
        raise NlaError(f"{file} cannot be read: {error}.") from error


def _term(text: str) -> dict[str, str]:
    analysis, _, rest = text.partition(":")
    position, colon, weight = rest.partition(":")
    if not position:
        raise NlaError(
            f"{text!r} is no term: it is an analysis and a position, as in 3f9c:12, or 3f9c:12:-1."
        )
    return {"analysis": analysis, "position": position} | ({"weight": weight} if colon else {})


async def _list(services: Services, options: argparse.Namespace) -> list[Vector]:
    if not 1 <= options.limit <= MOST:
        raise NlaError(f"--limit is from 1 to {MOST}.")
    return await services.vectors.recent(options.limit, pair=options.pair)


async def _read(services: Services, options: argparse.Namespace) -> BaseModel:
    names = ("samples", "temperature", "max_new_tokens", "seed")
    asked = Verbalise.model_validate({name: getattr(options, name) for name in names})
    await _ready(services, options.vector)
    return (await services.vector_reader.read(options.vector, asked))[0]


async def _score(services: Services, options: argparse.Namespace) -> BaseModel:
    await _ready(services, options.vector)
    scores, pair = await services.vector_reader.score(options.vector, options.texts)
    return TextScores(
        pair=pair.name,
        scores=[TextScore(cos=s.cos, mse=s.mse, fve=s.fve) for s in scores],
        fve_variance=pair.variance,
        precision=pair.versions.get("precision"),
    )


async def _patch(services: Services, options: argparse.Namespace) -> BaseModel:
    request = InterventionRequest(
        position=options.position,
        vector=options.vector,
        mode=options.mode,
        alpha=options.alpha,
        scope=options.scope,
        targets=options.target,
    )
    analysis = await services.analyses.check(options.analysis)
    await _ready(services, options.vector)
    id, _ = await services.interventions.submit(analysis, request)
    return await services.interventions.wait(id)


async def _ready(services: Services, vector: str) -> None:
    """Load the models, once it is known that there is such a vector."""
    await services.vectors.get(vector)
    services.models.start()
    await services.models.pair()
