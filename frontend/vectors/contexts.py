"""Vectors: the list with its forms, and the page of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frontend.layout import ModelsContext


@dataclass(frozen=True)
class SumForm:
    """Values of the form for a sum, as they were typed: a term a line. `kind` is sum or mean."""

    terms: str = ""
    kind: str = "sum"
    name: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UploadForm:
    """Values of the form for a file, but for the file, which a browser does not send back."""

    name: str = ""
    pair: str = ""
    tensor: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadForm:
    """Values of the form that has a vector read."""

    samples: str = "1"
    temperature: str = ""
    max_new_tokens: str = "200"
    seed: str = "0"
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ListedVector:
    """A line of the list."""

    href: str
    name: str
    origin: str
    fits: str
    norm: str
    created: str
    created_iso: str


@dataclass(frozen=True)
class VectorsPage:
    """vectors/vectors.html"""

    items: Sequence[ListedVector]
    pairs: Sequence[str]
    older: str
    sum: SumForm
    upload: UploadForm
    models: ModelsContext
    here: str = "vectors"


@dataclass(frozen=True)
class SourceRow:
    """A term of the sum; without an address its analysis has been deleted."""

    weight: str
    token: str
    position: int
    href: str
    norm: str
    cos: str


@dataclass(frozen=True)
class ReadingLine:
    """A reading of a vector; `beside` says how many other readings are as near."""

    text: str
    truncated: bool
    error: str
    headline: str
    figures: str
    beside: str


@dataclass(frozen=True)
class ReadOnce:
    """Readings of a vector that were asked for at once."""

    id: str
    how: str
    created: str
    readings: Sequence[ReadingLine]
    others: str


@dataclass(frozen=True)
class PendingReadings:
    """Readings of a vector that are being made. `follow` is asked until they are, `cancel` ends that; `done` of `total`
    are scored, where that is known.
    """

    id: str
    how: str
    stage: str
    done: int
    total: int | None
    follow: str
    cancel: str


@dataclass(frozen=True)
class VectorContext:
    """vectors/vector.html"""

    id: str
    name: str
    facts: Sequence[str]
    file: str
    sources: Sequence[SourceRow]
    pending: Sequence[PendingReadings]
    read: Sequence[ReadOnce]
    form: ReadForm
    most_samples: int
    most_tokens: int
    models: ModelsContext
    here: str = "vectors"
