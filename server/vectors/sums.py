"""Sums of activations: differences, means, and whatever else has weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from server.analyses.schema import Analysis, url_of
from server.analyses.service import Analyses
from server.errors import BadInput, NotFound
from server.store import repository
from server.store.database import Store
from server.store.vectors import unpack
from server.vectors.files import Values
from server.vectors.schema import Source, Term

NAMED = 3
"""Terms that stand in a name that nobody has given."""


@dataclass(frozen=True)
class Sum:
    """A sum [d] in float64 of activations of one pair, and what went into it."""

    values: Values
    sources: list[Source]
    pair: str
    layer: int
    fingerprint: str | None


@dataclass(frozen=True)
class _Text:
    analysis: Analysis
    fingerprint: str | None
    activations: Values


async def add_up(analyses: Analyses, store: Store, terms: Sequence[Term]) -> Sum:
    """Add up activations, each times its weight. Raises BadInput that names the term which cannot be added: no such
    analysis or position, no activations yet, or those of another pair, layer or weights than the first term's.
    """
    texts: dict[str, _Text] = {}
    for n, term in enumerate(terms):
        if term.analysis not in texts:
            texts[term.analysis] = found = await _text(analyses, store, term.analysis, f"sum.{n}.analysis")
            _check_alike(texts[terms[0].analysis], found, f"sum.{n}.analysis")
        last = len(texts[term.analysis].activations) - 1
        if term.position > last:
            detail = f"There is no position {term.position}: the text ends at {last}."
            raise BadInput(f"sum.{n}.position", detail)
    rows = np.stack([texts[term.analysis].activations[term.position] for term in terms])
    total: Values = np.asarray([term.weight for term in terms], np.float64) @ rows
    first = texts[terms[0].analysis]
    sources = [
        _source(term, texts[term.analysis].analysis, h, total) for term, h in zip(terms, rows, strict=True)
    ]
    assert first.analysis.layer is not None, "it has activations"
    return Sum(total, sources, first.analysis.pair, first.analysis.layer, first.fingerprint)


async def _text(analyses: Analyses, store: Store, id: str, place: str) -> _Text:
    try:
        analysis = await analyses.get(id)
    except NotFound as error:
        raise BadInput(place, error.detail) from error
    blob = await store.read(partial(repository.activations, analysis.id))
    row = await store.read(partial(repository.get, analysis.id))
    if blob is None or row is None or analysis.layer is None:
        raise BadInput(place, "Its activations are not known yet: wait until its lens is there.")
    return _Text(analysis, row.fingerprint, unpack(blob).astype(np.float64))


def _check_alike(first: _Text, other: _Text, place: str) -> None:
    a, b = first.analysis, other.analysis
    if (a.pair, a.layer) != (b.pair, b.layer):
        raise BadInput(
            place,
            f"It is by {b.pair} at layer {b.layer}, the first one by {a.pair} at layer {a.layer}: their activations "
            "cannot be added. Analyse its text with that pair.",
        )
    if first.fingerprint != other.fingerprint:
        raise BadInput(
            place, f"It is by other weights of {b.pair} than the first one. Analyse its text again."
        )


def _source(term: Term, analysis: Analysis, h: Values, total: Values) -> Source:
    norm, length = float(np.linalg.norm(h)), float(np.linalg.norm(total))
    return Source(
        analysis=analysis.id,
        position=term.position,
        weight=term.weight,
        token=analysis.tokens[term.position].text,
        norm=norm,
        cos=float(np.clip(h @ total / (norm * length), -1, 1)) if norm and length else 0.0,
        url=f"{url_of(analysis.id)}?t={term.position}",
    )


def name_of(sources: Sequence[Source]) -> str:
    """A name for a sum: its tokens with their signs, or how many they are."""
    weights = {source.weight for source in sources}
    if len(sources) > NAMED:
        kind = "mean" if weights == {1 / len(sources)} else "sum"
        return f"{kind} of {len(sources)} activations"
    if len(sources) > 1 and weights == {1 / len(sources)}:
        return "mean of " + ", ".join(_quoted(source.token) for source in sources)
    parts = []
    for n, source in enumerate(sources):
        sign = "−" if source.weight < 0 else "+" if n else ""
        size = "" if abs(source.weight) == 1 else f"{abs(source.weight):g} × "
        parts.append(f"{sign} {size}{_quoted(source.token)}" if n else f"{sign}{size}{_quoted(source.token)}")
    return " ".join(parts)


def _quoted(token: str) -> str:
    return f"“{token}”"
