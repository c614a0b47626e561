"""Builders of the vectors' pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from frontend import formatting
from frontend.layout import ModelsContext
from frontend.library.listing import ago
from frontend.urls import urls
from frontend.vectors.contexts import (
    ListedVector,
    PendingReadings,
    ReadForm,
    ReadingLine,
    ReadOnce,
    SourceRow,
    SumForm,
    UploadForm,
    VectorContext,
    VectorsPage,
)
from server.analyses.schema import Verbalise
from server.settings import Settings
from server.vectors.schema import (
    OtherReadings,
    PendingVectorReadings,
    Source,
    Vector,
    VectorReading,
    VectorReadings,
)

LISTED = 50


def vectors_page(
    found: Sequence[Vector],
    pairs: Sequence[str],
    models: ModelsContext,
    now: datetime,
    form: SumForm | None = None,
    upload: UploadForm | None = None,
) -> VectorsPage:
    """The list; `found` has one more than it shows where there are older ones."""
    shown = found[:LISTED]
    return VectorsPage(
        items=[_line(vector, now) for vector in shown],
        pairs=pairs if len(pairs) > 1 else (),
        older=urls.vectors(shown[-1].id) if len(found) > LISTED else "",
        sum=form or SumForm(),
        upload=upload or UploadForm(),
        models=models,
    )


def _line(vector: Vector, now: datetime) -> ListedVector:
    count = len(vector.sum)
    return ListedVector(
        href=urls.vector(vector.id),
        name=formatting.quoted(vector.name, 120),
        origin=formatting.counted(count, "activation") if count else "uploaded",
        fits=f"{vector.pair}, layer {vector.layer}",
        norm=f"length {formatting.number(vector.norm, 1)}",
        created=ago(vector.created, now),
        created_iso=vector.created.isoformat(),
    )


def vector_page(
    vector: Vector,
    read: Sequence[VectorReadings],
    being_read: Sequence[PendingVectorReadings],
    settings: Settings,
    models: ModelsContext,
    form: ReadForm | None = None,
) -> VectorContext:
    """The page of one, with what was read of it, the latest first."""
    return VectorContext(
        id=vector.id,
        name=formatting.plain(vector.name),
        facts=[
            f"{vector.pair}, layer {vector.layer}",
            f"{vector.d_model} numbers",
            f"length {formatting.number(vector.norm)}",
            f"{vector.created:%d %b %Y}".lstrip("0"),
        ],
        file=formatting.plain(vector.file or ""),
        sources=[_source(source) for source in vector.sum],
        pending=[pending(found) for found in reversed(being_read)],
        read=[read_once(found) for found in reversed(read)],
        form=form or ReadForm(max_new_tokens=str(min(200, settings.max_reading_tokens))),
        most_samples=settings.max_samples,
        most_tokens=settings.max_reading_tokens,
        models=models,
    )


def _source(source: Source) -> SourceRow:
    return SourceRow(
        weight=_weight(source.weight),
        token=formatting.quoted(source.token) or "(empty)",
        position=source.position,
        href=source.url if source.there else "",
        norm=formatting.number(source.norm, 1),
        cos=formatting.number(source.cos),
    )


def _weight(weight: float) -> str:
    return ("+" if weight > 0 else "") + f"{weight:.4g}".replace("-", formatting.MINUS)


def pending(found: PendingVectorReadings) -> PendingReadings:
    """Readings that are being made."""
    progress = found.progress
    stage = "The verbaliser writes." if progress.stage == "readings" else "It waits for its turn."
    return PendingReadings(
        id=found.id,
        how=_how(found.request),
        stage=formatting.plain(progress.message or stage),
        done=progress.done,
        total=progress.total,
        follow=urls.vector_reading(found.vector, found.id),
        cancel=urls.cancel_vector_reading(found.vector, found.id),
    )


def _how(asked: Verbalise) -> str:
    heat = "greedy" if not asked.temperature else f"temperature {asked.temperature:g}, seed {asked.seed}"
    return f"{formatting.counted(asked.samples, 'reading')}, {heat}, up to {asked.max_new_tokens} tokens"


def read_once(found: VectorReadings) -> ReadOnce:
    """Readings that are made."""
    others = found.others
    return ReadOnce(
        id=found.id,
        how=_how(found.request),
        created=f"{found.created:%d %b %Y, %H:%M} UTC".lstrip("0"),
        readings=[_reading(reading, others.n if others else 0) for reading in found.readings],
        others="" if others is None else _held_against(others),
    )


def _held_against(others: OtherReadings) -> str:
    """The null of the cosines."""
    low, high = map(formatting.number, others.interval)
    return (
        f"To hold it against: {others.n} readings of other tokens, from {formatting.counted(others.texts, 'text')} of "
        f"this library, have a mean cosine of {formatting.number(others.mean)} with the vector, the middle "
        f"90\u202f% from {low} to {high}."
    )


def _reading(reading: VectorReading, others: int) -> ReadingLine:
    figures = f"mse {formatting.number(reading.mse)}"
    if reading.fve is not None:
        figures += f" · as an activation FVE {formatting.percent(reading.fve)}"
    above = reading.above or 0
    beside = f"{above or 'None'} of {others} other readings {'is' if above < 2 else 'are'} as near."
    return ReadingLine(
        text=formatting.plain(reading.text),
        truncated=reading.truncated,
        error=formatting.plain(reading.error or ""),
        headline="" if reading.cos is None else f"cosine {formatting.number(reading.cos)} with the vector",
        figures="" if reading.mse is None else figures,
        beside=beside if others and reading.above is not None else "",
    )
