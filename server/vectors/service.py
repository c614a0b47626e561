"""The service of vectors: make, keep, find, remove."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from server.analyses.content_id import digest, short
from server.analyses.service import Analyses
from server.errors import BadInput, NotFound
from server.jobs.scheduler import Scheduler
from server.pairs.model_pool import ModelPool
from server.store import kept_vectors, repository
from server.store.database import Store
from server.store.tables import VectorRow
from server.store.vectors import pack, unpack
from server.vectors import files
from server.vectors.files import Values
from server.vectors.schema import (
    NAME,
    Source,
    Vector,
    VectorRequest,
    WholeVector,
    url_of_vector,
)
from server.vectors.sums import Sum, add_up, name_of

FORMAT = 1
SHORTEST, LONGEST = 1e-15, 1e15
"""Norms between which a vector can be scaled to any length in float32, whose squares a norm adds up."""
_SOURCES = TypeAdapter(list[Source])


@dataclass(frozen=True)
class _Made:
    """A vector that is to be kept. `place` is the field of the request that says what it is."""

    values: Values
    pair: str
    layer: int
    name: str
    place: str
    fingerprint: str | None = None
    sources: Sequence[Source] = field(default_factory=tuple)
    file: str | None = None


class Vectors:
    """All vectors that are kept by themselves."""

    def __init__(self, scheduler: Scheduler, analyses: Analyses, store: Store, models: ModelPool) -> None:
        self._scheduler = scheduler
        self._analyses = analyses
        self._store = store
        self._models = models

    # Making

    async def create(self, request: VectorRequest) -> tuple[Vector, bool]:
        """The vector of a request, and whether it existed. Raises BadInput for what makes none."""
        if (request.sum is None) == (request.values is None):
            raise BadInput("sum", "Give a sum of activations, or the values of a vector; one of both.")
        if request.values is not None:
            values = np.asarray(request.values, np.float64)
            return await self._add_values(values, request.name or "vector", None, request.pair, "values")
        assert request.sum is not None, "it is one of both"
        if request.pair is not None:
            raise BadInput("pair", "A sum is of the pair of its analyses: leave pair out.")
        found = await add_up(self._analyses, self._store, request.sum)
        return await self._keep(_of_sum(found, request.name))

    async def upload(
        self,
        data: bytes,
        *,
        file: str | None = None,
        name: str | None = None,
        pair: str | None = None,
        tensor: str | None = None,
    ) -> tuple[Vector, bool]:
        """Keep the vector in a file, and say whether it existed. `file` is the file's name, `tensor` that of one of
        several in it. Raises BadInput for what holds no vector of a pair here.
        """
        if name is not None and len(name) > NAME:
            raise BadInput("name", f"A name has up to {NAME} letters.")
        values = await asyncio.to_thread(files.read, data, tensor)
        known = " ".join((file or "").replace("\\", "/").rpartition("/")[2].split())[:NAME]
        return await self._add_values(values, name or known or "vector", known or "a file", pair, "file")

    async def _add_values(
        self, values: Values, name: str, file: str | None, pair: str | None, place: str
    ) -> tuple[Vector, bool]:
        pair, layer = await self._fitting_pair(len(values), pair, place)
        return await self._keep(_Made(values, pair, layer, name, place, file=file))

    async def _fitting_pair(self, width: int, wanted: str | None, place: str) -> tuple[str, int]:
        """The pair, and its layer, whose activations have this many numbers. Raises BadInput where there is none, or
        none was named of several.
        """
        described = await asyncio.to_thread(self._models.source.describe)
        here = [
            (str(entry["name"]), int(entry["layer"]), int(entry["d_model"]))
            for entry in described
            if entry["name"] in self._models.names and None not in (entry["layer"], entry["d_model"])
        ]
        known = ", ".join(f"{name} ({d} at layer {layer})" for name, layer, d in here)
        if wanted is not None and wanted not in [name for name, _, _ in here]:
            raise BadInput("pair", f"There is no pair {wanted!r} here whose width is known, but {known}.")
        fits = [(name, layer) for name, layer, d in here if d == width and wanted in (None, name)]
        if not fits:
            raise BadInput(place, f"It has {width:,} numbers. An activation here has: {known}.")
        if len(fits) > 1:
            names = ", ".join(f"{name} (layer {layer})" for name, layer in fits)
            raise BadInput("pair", f"{width:,} numbers fit {names}: name the pair that it is of.")
        return fits[0]

    async def _keep(self, made: _Made) -> tuple[Vector, bool]:
        values = _checked(made.values, made.place)
        data = pack(values, exact=True)
        address = [FORMAT, made.pair, made.layer, hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()]
        row = VectorRow(
            id=short("vector:" + digest(address)),
            pair=made.pair,
            layer=made.layer,
            fingerprint=made.fingerprint,
            d_model=len(values),
            name=made.name,
            norm=_norm(values),
            created=repository.now(),
            sources=_SOURCES.dump_json(list(made.sources), ensure_ascii=True).decode(),
            file=made.file,
            data=data,
        )
        existed = await self._store.write(partial(kept_vectors.add, row))
        return await self.get(row.id), existed

    # Looking

    async def get(self, vector_id: str) -> Vector:
        """One vector, without its values. Raises NotFound."""
        return (await self._with_sources([await self.row(vector_id)]))[0]

    async def whole(self, vector_id: str) -> WholeVector:
        """One vector with its values. Raises NotFound."""
        row = await self.row(vector_id)
        (known,) = await self._with_sources([row])
        return WholeVector(**known.model_dump(), values=unpack(row.data)[0].tolist())

    async def recent(
        self, limit: int, *, pair: str | None = None, layer: int | None = None, before: str | None = None
    ) -> list[Vector]:
        """The newest vectors, or those after the one of the id `before`, of a pair and layer or of any. Raises BadInput
        for an id that is none.
        """
        after = None
        if before is not None:
            try:
                after = await self.row(before)
            except NotFound as error:
                raise BadInput("before", error.detail) from error
        query = partial(kept_vectors.listed, limit, pair=pair, layer=layer, after=after)
        return await self._with_sources(await self._store.read(query))

    async def row(self, vector_id: str) -> VectorRow:
        """Find the row of one. Raises NotFound."""
        return await find(self._store, vector_id)

    async def _with_sources(self, rows: Sequence[VectorRow]) -> list[Vector]:
        made = [(row, sources_of(row)) for row in rows]
        ids = {source.analysis for _, sources in made for source in sources}
        there = await self._store.read(partial(kept_vectors.there, ids)) if ids else set()
        return [_vector(row, sources, there) for row, sources in made]

    # Removing

    async def delete(self, vector_id: str) -> None:
        """Remove a vector, and what was read of it, for good; what is being read is stopped. Edits that were made with
        it stay. Raises NotFound.
        """
        id = (await self.row(vector_id)).id
        if not await self._scheduler.remove(id, lambda _, session: kept_vectors.remove(id, session)):
            raise NotFound(f"The vector {vector_id!r} has just been deleted.")


async def find(store: Store, vector_id: str) -> VectorRow:
    """Find the row of a vector. Raises NotFound."""
    return await store.read(partial(row_of, vector_id))


def row_of(vector_id: str, session: Session) -> VectorRow:
    """The row of a vector. Raises NotFound."""
    well_formed = vector_id.isascii() and vector_id.isalnum()
    row = kept_vectors.get(vector_id, session) if well_formed else None
    if row is None:
        raise NotFound(f"There is no vector {vector_id!r}: deleted, or not a whole address.")
    return row


def sources_of(row: VectorRow) -> list[Source]:
    """The activations that a vector was made of."""
    return _SOURCES.validate_json(row.sources)


def _of_sum(found: Sum, name: str | None) -> _Made:
    return _Made(
        values=found.values,
        pair=found.pair,
        layer=found.layer,
        name=name or name_of(found.sources)[:NAME],
        place="sum",
        fingerprint=found.fingerprint,
        sources=found.sources,
    )


def _checked(values: Values, place: str) -> NDArray[np.float32]:
    """The values in float32. Raises BadInput where they are no direction, or cannot be scaled in that format."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(narrow))
    if len(wrong):
        raise BadInput(place, f"The number at {wrong[0]} is not finite in float32.")
    norm = _norm(narrow)
    if norm == 0:
        raise BadInput(place, "Its length is 0, so it has no direction.")
    check_norm(norm, place)
    return narrow


def check_norm(norm: float, place: str) -> None:
    """Raise BadInput for a vector of a length at which float32 cannot square its numbers; one of 0 is let through."""
    if norm and not SHORTEST <= norm <= LONGEST:
        raise BadInput(
            place, f"Its length is {norm:.1e}, beyond what float32 can work with: scale it, say to length 1."
        )


def _norm(values: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))


def _vector(row: VectorRow, sources: Sequence[Source], there: Collection[str]) -> Vector:
    return Vector(
        id=row.id,
        url=url_of_vector(row.id),
        name=row.name,
        pair=row.pair,
        layer=row.layer,
        d_model=row.d_model,
        norm=row.norm,
        created=row.created,
        sum=[source.model_copy(update={"there": source.analysis in there}) for source in sources],
        file=row.file,
    )
