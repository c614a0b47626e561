"""The parts of an analysis by themselves, for scripts: text → vector, vector → text, score."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import Field
from starlette.requests import Request

from server.analyses.readings import verbalise
from server.analyses.reconstruction import check_lengths
from server.analyses.schema import Verbalise
from server.api.connected import while_connected
from server.errors import BadInput, NotFound
from server.nla.verbalisers.base import Failed, Finished
from server.schema import RequestModel, ResponseModel
from server.settings import Settings
from server.store.vectors import unpack
from server.vectors.kind import check_fits
from server.vectors.service import check_norm, find

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair
    from server.pairs.model_pool import ModelPool

router = APIRouter(prefix="/api", tags=["models"])

Number = Annotated[float, Field(allow_inf_nan=False, ge=-3e38, le=3e38)]
Vectors = Annotated[list[Annotated[list[Number], Field(min_length=1)]], Field(min_length=1)]
Texts = Annotated[list[Annotated[str, Field(min_length=1, max_length=20_000)]], Field(min_length=1)]


class OfPair(RequestModel):
    """`pair` names the pair that is to answer, which must be resident; without it the resident one does."""

    pair: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class ReconstructRequest(OfPair):
    """Texts for the AR."""

    texts: Texts


class Reconstructed(ResponseModel):
    """One vector [d] for each text."""

    pair: str
    activations: list[list[float]]


class OfActivations(OfPair):
    """Raw activations at layer K, [n][d], or in their place the id of one vector that is kept (POST /api/vectors)."""

    activations: Vectors | None = None
    vector: Annotated[str, Field(min_length=1, max_length=40)] | None = None


class VerbaliseRequest(OfActivations):
    """Vectors for the AV to write of."""

    verbalise: Verbalise = Verbalise()


class Text(ResponseModel):
    """A text of the AV, or the reason why there is none."""

    text: str
    truncated: bool
    error: str | None = None


class Verbalised(ResponseModel):
    """One text for each activation; `readings` says more of each."""

    pair: str
    texts: list[str]
    readings: list[Text]


class ScoreRequest(OfActivations):
    """Texts, and as many activations: the first is scored against the first."""

    texts: Texts


class TextScore(ResponseModel):
    """cos, mse and fve (null where the pair's variance is not known)."""

    cos: float | None
    mse: float | None
    fve: float | None


class TextScores(ResponseModel):
    """One score for each text."""

    pair: str
    scores: list[TextScore]
    fve_variance: float | None
    """V of the fve: its baseline is predicting the pair's mean activation."""
    precision: str | None = None
    """The quantised models (`target=4bit,ar=8bit`), null for the released weights."""


@router.post("/reconstruct")
async def reconstruct_texts(body: ReconstructRequest, request: Request) -> Reconstructed:
    """Reconstruct activations from some texts."""
    settings: Settings = request.app.state.settings
    _check_count("texts", body.texts, settings)
    async with _turn(request, body.pair) as pair:
        await check_lengths(pair, "texts", body.texts, settings)
        vectors = await while_connected(request, pair.reconstructor.reconstruct(body.texts))
    return Reconstructed(pair=pair.name, activations=np.asarray(vectors, np.float32).tolist())


@router.post("/verbalise")
async def verbalise_activations(body: VerbaliseRequest, request: Request) -> Verbalised:
    """Verbalise some activations."""
    settings: Settings = request.app.state.settings
    if body.verbalise.samples != 1:
        raise BadInput(
            "verbalise.samples", "One sample for each activation; send an activation again for more."
        )
    if body.verbalise.max_new_tokens > settings.max_reading_tokens:
        detail = f"More than the {settings.max_reading_tokens} that this server takes."
        raise BadInput("verbalise.max_new_tokens", detail)
    found: dict[int, Text] = {}
    async with _turn(request, body.pair) as pair:
        activations = await _given(body, pair, request)
        async with (
            pair.capacity.take(len(activations)),
            aclosing(verbalise(pair, activations, body.verbalise)) as findings,
        ):
            async for finding in findings:
                if isinstance(finding, Finished):
                    found[finding.key[0]] = Text(text=finding.text, truncated=finding.truncated)
                elif isinstance(finding, Failed):
                    found[finding.key[0]] = Text(text="", truncated=False, error=finding.reason)
    readings = [found[i] for i in range(len(activations))]
    return Verbalised(pair=pair.name, texts=[reading.text for reading in readings], readings=readings)


@router.post("/score")
async def score(body: ScoreRequest, request: Request) -> TextScores:
    """Score how much of each activation its text holds."""
    from server.nla.scores import score as score_of

    settings: Settings = request.app.state.settings
    _check_count("texts", body.texts, settings)
    async with _turn(request, body.pair) as pair:
        activations = await _given(body, pair, request)
        if (texts := len(body.texts)) != (count := len(activations)):
            raise BadInput("activations", f"{texts} texts, but {count} activations: one for each.")
        await check_lengths(pair, "texts", body.texts, settings)
        vectors = await while_connected(request, pair.reconstructor.reconstruct(body.texts))
        scores = [score_of(h, r, pair.variance) for h, r in zip(activations, vectors, strict=True)]
    return TextScores(
        pair=pair.name,
        scores=[TextScore(cos=s.cos, mse=s.mse, fve=s.fve) for s in scores],
        fve_variance=pair.variance,
        precision=pair.versions.get("precision"),
    )


@asynccontextmanager
async def _turn(request: Request, name: str | None) -> AsyncIterator[LoadedPair]:
    """The pair that is to answer, for one call in its client's turn. Raises BadInput for one that this server does not
    have, NotReady for one that is not resident, and Busy.
    """
    models: ModelPool = request.app.state.models
    if name is not None:
        await request.app.state.analyses.check_pair(name)
    async with request.app.state.scheduler.call():
        with models.borrow(name) as pair:
            yield pair


def _check_count(field: str, items: Sequence[object], settings: Settings) -> None:
    if len(items) > settings.max_vectors:
        raise BadInput(field, f"{len(items)} at once; this server takes up to {settings.max_vectors}.")


async def _given(body: OfActivations, pair: LoadedPair, request: Request) -> NDArray[np.float32]:
    """The activations [n, d] of a request, or the vector that it names. Raises BadInput for what does not fit the pair,
    and Conflict for a vector of other weights.
    """
    if (body.activations is None) == (body.vector is None):
        raise BadInput("activations", "Give activations, or a vector (its id) in their place; one of both.")
    if body.activations is not None:
        return _checked(body.activations, pair, request.app.state.settings)
    assert body.vector is not None, "it is one of both"
    try:
        row = await find(request.app.state.store, body.vector)
    except NotFound as error:
        raise BadInput("vector", error.detail) from error
    if row.pair != pair.name:
        raise BadInput(
            "vector", f"It is of {row.pair}, and {pair.name} is resident: ask for the pair {row.pair}."
        )
    check_fits(row, pair)
    return unpack(row.data)


def _checked(rows: Sequence[Sequence[float]], pair: LoadedPair, settings: Settings) -> NDArray[np.float32]:
    _check_count("activations", rows, settings)
    for i, row in enumerate(rows):
        if len(row) != pair.d_model:
            raise BadInput(
                f"activations.{i}", f"{len(row)} numbers; an activation of this pair has {pair.d_model}."
            )
        check_norm(math.hypot(*row), f"activations.{i}")  # numpy's norm of 1e-300 is 0
    return np.asarray(rows, np.float32)
