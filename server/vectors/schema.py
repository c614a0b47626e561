"""The words of the API: what a vector is made of, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from server.analyses.schema import Verbalise
from server.jobs.progress import Progress
from server.schema import RequestModel, ResponseModel

TERMS = 512
"""Terms of one sum."""
NAME = 200
"""Letters of a name."""
Name = Annotated[str, Field(min_length=1, max_length=NAME)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
PairName = Annotated[str, Field(min_length=1, max_length=200)]


class Term(RequestModel):
    """The activation at a position of an analysis, times a weight."""

    analysis: Annotated[str, Field(min_length=1, max_length=40)]
    position: Annotated[int, Field(ge=0)]
    weight: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)] = 1.0


class VectorRequest(RequestModel):
    """The body of POST /api/vectors: a `sum` of activations by one pair, or the `values` themselves [d], with the
    `pair` that they are of (which is not needed where their number fits one pair alone).

    The difference of two tokens has the weights 1 and -1, the mean of n the weights 1/n.
    """

    name: Name | None = None
    sum: Annotated[list[Term], Field(min_length=1, max_length=TERMS)] | None = None
    values: Annotated[list[Number], Field(min_length=1)] | None = None
    pair: PairName | None = None


class Source(ResponseModel):
    """A term that a vector was made of. `token`, `norm` and `cos` (of the vector with this activation) are as they were
    then; `there` tells whether its analysis still is, and `url` leads to it.
    """

    analysis: str
    position: int
    weight: float
    token: str
    norm: float
    cos: float
    url: str
    there: bool = True


class Vector(ResponseModel):
    """A vector without its values. `sum` are the activations that it was made of; `file` is the name of the file that
    it came in, of one that was uploaded. `norm` is its L2 norm.
    """

    id: str
    url: str
    name: str
    pair: str
    layer: int
    d_model: int
    norm: float
    created: datetime
    sum: list[Source]
    file: str | None


class WholeVector(Vector):
    """A vector with its values [d]; each is written so that it reads back as the same float32."""

    values: list[float]


class UsedVector(ResponseModel):
    """A vector as an edit names it, by the name that it had then."""

    id: str
    url: str
    name: str


class VectorReading(ResponseModel):
    """A text that the AV wrote of a vector, scored by the cosine of the vector and what the AR makes of the text. `mse`
    and `fve` are what they are for an activation: `fve` is against V, the variance of the pair's activations.
    `above`: how many of the `others` are at least as near to the vector.
    """

    sample: int
    text: str = ""
    truncated: bool = False
    cos: float | None = None
    mse: float | None = None
    fve: float | None = None
    above: int | None = None
    error: str | None = None


class OtherReadings(ResponseModel):
    """A null of the cosine: readings that the same pair wrote of `n` other tokens in `texts` texts of the
    library. `mean` is their mean cosine with the vector, `interval` spans their middle 90 %.
    """

    n: int
    texts: int
    mean: float
    interval: tuple[float, float]


class VectorReadings(ResponseModel):
    """Readings of a vector: what the AV wrote when asked with `request`, kept: asked again, the same words come."""

    id: str
    url: str
    vector: str
    created: datetime
    request: Verbalise
    readings: list[VectorReading]
    others: OtherReadings | None
    fve_variance: float | None
    versions: dict[str, str]


class PendingVectorReadings(ResponseModel):
    """Readings of a vector that are being made or wait. Stages of their progress: loading, waiting, queued, readings;
    `done` of `total` readings are scored.
    """

    id: str
    url: str
    vector: str
    created: datetime
    request: Verbalise
    pair: str
    progress: Progress


class UploadedJson(BaseModel):
    """A JSON file with a vector: what GET /api/vectors/{id} answers is one. Other fields are left aside."""

    values: Annotated[list[Number], Field(min_length=1)]


def url_of_vector(vector_id: str) -> str:
    """The permalink's path."""
    return f"/v/{vector_id}"


def url_of_reading(vector_id: str, id: str) -> str:
    """The permalink's path of readings of a vector."""
    return f"{url_of_vector(vector_id)}#r-{id}"
