"""The tables. Documents (requests, tokens, timings) are kept as JSON; what is searched or sorted by has a
column.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    types,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_UNSAFE = re.compile("[\x00\\\\\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


def escape(text: str) -> str:
    """Text that any database can hold: NUL (which PostgreSQL refuses), lone surrogates and the backslash are
    written out.
    """
    return _UNSAFE.sub(lambda m: r"\\" if m[0] == "\\" else f"\\u{ord(m[0]):04x}", text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _ESCAPED.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), text)


class Prose(types.TypeDecorator[str]):
    """Text from people and models: every string survives the round trip."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape(value)


class Moment(types.TypeDecorator[datetime]):
    """A moment in UTC, also where the database forgets the zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The declarative base; its metadata is what the migrations must arrive at."""


class AnalysisRow(Base):
    """One analysis. `address` is the hash of what was asked; it is unknown (None) while the model that
    tokenises loads.
    """

    __tablename__ = "analysis"
    __table_args__ = (
        Index("analysis_created", "created"),
        Index("analysis_status", "status"),
        Index("analysis_pair", "pair"),
        Index("analysis_kin", "kin"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    address: Mapped[str | None] = mapped_column(String(64), unique=True)
    same_as: Mapped[str | None] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"))
    """Asked while models were loading, and then found to be this other one."""
    pair: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str | None] = mapped_column(String(200))
    kin: Mapped[str | None] = mapped_column(String(64))
    """The same in all analyses of one text by pairs of one target, see analyses/content_id.py."""
    status: Mapped[str] = mapped_column(String(12))
    error: Mapped[str | None] = mapped_column(Prose)
    request: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Prose)
    words: Mapped[str] = mapped_column(Prose)
    """Prompt and reply, for search."""
    created: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime | None] = mapped_column(Moment)
    deleted: Mapped[datetime | None] = mapped_column(Moment)
    """Since when it is gone for everybody; it is kept a while longer, so that this can be undone."""
    layer: Mapped[int | None] = mapped_column(Integer)
    fve_variance: Mapped[float | None] = mapped_column(Float)
    focus: Mapped[int | None] = mapped_column(Integer)
    prompt_ids: Mapped[bytes | None] = mapped_column(LargeBinary)
    generated_ids: Mapped[bytes | None] = mapped_column(LargeBinary)
    tokens: Mapped[bytes | None] = mapped_column(LargeBinary)
    token_count: Mapped[int] = mapped_column(Integer, default=0)
    baselines: Mapped[str | None] = mapped_column(Text)
    timings: Mapped[str] = mapped_column(Text, default="{}")
    versions: Mapped[str] = mapped_column(Text, default="{}")
    runs: Mapped[int] = mapped_column(Integer, default=0)
    """How often work on it has begun; event ids of a later run are above those of an earlier one."""
    tokens_event: Mapped[int] = mapped_column(BigInteger, default=0)
    lens_event: Mapped[int] = mapped_column(BigInteger, default=0)
    tuned_event: Mapped[int] = mapped_column(BigInteger, default=0)
    end_event: Mapped[int] = mapped_column(BigInteger, default=0)
    owner: Mapped[str | None] = mapped_column(String(40))
    """The server that works on it, see leases.py."""
    leased: Mapped[datetime | None] = mapped_column(Moment)
    """When the owner last said so."""


class TraceRow(Base):
    """The heavy part of an analysis, apart so that lists and searches do not touch it."""

    __tablename__ = "trace"

    analysis_id: Mapped[str] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"), primary_key=True)
    lens: Mapped[bytes] = mapped_column(LargeBinary)
    tuned_lens: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Like `lens`, made last; none where the target had no translators."""
    activations: Mapped[bytes] = mapped_column(LargeBinary)
    """[T, d], see vectors.py."""


class ReadingRow(Base):
    """One reading. `event` is the id of the event that told it last; `vector` the AR's reconstruction."""

    __tablename__ = "reading"

    analysis_id: Mapped[str] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    sample: Mapped[int] = mapped_column(Integer, primary_key=True)
    text: Mapped[str] = mapped_column(Prose)
    truncated: Mapped[bool] = mapped_column(Boolean, default=False)
    tokens: Mapped[int] = mapped_column(Integer, default=0)
    cos: Mapped[float | None] = mapped_column(Float)
    mse: Mapped[float | None] = mapped_column(Float)
    fve: Mapped[float | None] = mapped_column(Float)
    rank: Mapped[int | None] = mapped_column(Integer)
    rank_of: Mapped[int | None] = mapped_column(Integer)
    """Among how many activations; unknown of those that were ranked before 0009, among all of the text."""
    error: Mapped[str | None] = mapped_column(Prose)
    event: Mapped[int] = mapped_column(BigInteger, default=0)
    vector: Mapped[bytes | None] = mapped_column(LargeBinary)


class InterventionRow(Base):
    """One intervention. Its id is the hash of what was asked; `result` is the whole answer, as JSON in ASCII,
    `search_text` the edited words and those that are watched.
    """

    __tablename__ = "intervention"
    __table_args__ = (Index("intervention_place", "analysis_id", "position"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    analysis_id: Mapped[str] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    created: Mapped[datetime] = mapped_column(Moment)
    result: Mapped[str] = mapped_column(Text)
    search_text: Mapped[str] = mapped_column(Prose, default="")


class PassageRow(Base):
    """A text to search in, in lower case: a reading, the words of an intervention, or (with neither) prompt and reply.

    Triggers of the database write it, see migrations 0002 and 0008; search.py reads it.
    """

    __tablename__ = "passage"
    __table_args__ = (
        UniqueConstraint("analysis_id", "position", "sample", name="passage_place"),
        ForeignKeyConstraint(
            ["analysis_id", "position", "sample"],
            ["reading.analysis_id", "reading.position", "reading.sample"],
            ondelete="CASCADE",
        ),
        Index("passage_intervention", "intervention_id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    analysis_id: Mapped[str] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"))
    position: Mapped[int | None] = mapped_column(Integer)
    sample: Mapped[int | None] = mapped_column(Integer)
    intervention_id: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text)
