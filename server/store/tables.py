"""The tables. Documents (requests, tokens, timings) are kept as JSON; what is searched or sorted by has a
column. A change of a table wants a migration in server/store/migrations/.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import ClassVar

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
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, synonym

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


class JobRow(Base):
    """Columns of every table whose rows are jobs of the scheduler: how a job stands, in the row of what it makes."""

    __abstract__ = True

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    pair: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(12))
    """queued, running, done, failed or cancelled."""
    error: Mapped[str | None] = mapped_column(Prose)
    created: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime | None] = mapped_column(Moment)
    run_number: Mapped[int] = mapped_column(Integer, default=0)
    """The number of runs that have begun; event ids of a later run are above those of an earlier one."""
    leased_by: Mapped[str | None] = mapped_column(String(40))
    """The server that works on it, see leases.py."""
    lease_renewed_at: Mapped[datetime | None] = mapped_column(Moment)
    """The time of that server's last renewal."""


class AnalysisRow(JobRow):
    """One analysis. `address` is the hash of what was asked; it is unknown (None) while the model that
    tokenises loads.
    """

    __tablename__ = "analysis"
    __table_args__ = (
        Index("analysis_created", "created"),
        Index("analysis_status", "status"),
        Index("analysis_pair", "pair"),
        Index("analysis_text_id", "text_id"),
        Index("analysis_study", "study_id"),
    )

    address: Mapped[str | None] = mapped_column(String(64), unique=True)
    alias_of: Mapped[str | None] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"))
    """Asked while models were loading, and then found to be this other one."""
    fingerprint: Mapped[str | None] = mapped_column(String(200))
    text_id: Mapped[str | None] = mapped_column(String(64))
    """The same in all analyses of one text by pairs of one target, see analyses/content_id.py."""
    study_id: Mapped[str | None] = mapped_column(String(40))
    """The study that began it, as long as that is there and nobody else has asked for the same."""
    request: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Prose)
    search_text: Mapped[str] = mapped_column(Prose)
    """Prompt and reply, for search."""
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
    tokens_event: Mapped[int] = mapped_column(BigInteger, default=0)
    lens_event: Mapped[int] = mapped_column(BigInteger, default=0)
    tuned_event: Mapped[int] = mapped_column(BigInteger, default=0)
    end_event: Mapped[int] = mapped_column(BigInteger, default=0)


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


class AttachedRow(JobRow):
    """Columns of every table whose rows are jobs that belong to something and come to one document. An id is the hash
    of what was asked; `inputs` is that as JSON (empty for what was made before it was a job), `result` the whole answer
    as JSON in ASCII (empty until it is made).
    """

    __abstract__ = True

    parent_column: ClassVar[str] = "analysis_id"
    """The name of the column with the id of what it belongs to, and is removed with."""
    inputs: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[str] = mapped_column(Text, default="")

    @declared_attr
    def parent_id(cls) -> Mapped[str]:
        """The id of what it belongs to."""
        return synonym(cls.parent_column)


class AnalysisJobRow(AttachedRow):
    """Columns of every table whose rows are jobs that belong to an analysis."""

    __abstract__ = True

    analysis_id: Mapped[str] = mapped_column(ForeignKey("analysis.id", ondelete="CASCADE"))


class InterventionRow(AnalysisJobRow):
    """One intervention. `search_text`: the edited words and those that are watched."""

    __tablename__ = "intervention"
    __table_args__ = (
        Index("intervention_place", "analysis_id", "position"),
        Index("intervention_status", "status"),
    )

    position: Mapped[int] = mapped_column(Integer)
    search_text: Mapped[str] = mapped_column(Prose, default="")


class MeasurementRow(AnalysisJobRow):
    """One measurement. `what`: causal."""

    __tablename__ = "measurement"
    __table_args__ = (
        Index("measurement_place", "analysis_id", "what"),
        Index("measurement_status", "status"),
    )

    what: Mapped[str] = mapped_column(String(40))


class CausalScoreRow(Base):
    """One causal score of a measurement that is being made; once that is made, its `result` holds them all. `event` is
    the id of the event that told it, `document` JSON in ASCII.
    """

    __tablename__ = "causal_score"

    measurement_id: Mapped[str] = mapped_column(
        ForeignKey("measurement.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    sample: Mapped[int] = mapped_column(Integer, primary_key=True)
    event: Mapped[int] = mapped_column(BigInteger)
    document: Mapped[str] = mapped_column(Text)


class VectorRow(Base):
    """A vector that was made of activations or came as a file. Its id is the hash of its pair, layer and values.

    Its values are a copy: it stays when the analyses that it was made of are deleted. `sources` are those, as JSON in
    ASCII; `file` is the name of the file that it came in.
    """

    __tablename__ = "vectors"
    __table_args__ = (Index("vectors_created", "created"), Index("vectors_layer", "pair", "layer"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    pair: Mapped[str] = mapped_column(String(200))
    layer: Mapped[int] = mapped_column(Integer)
    fingerprint: Mapped[str | None] = mapped_column(String(200))
    """Of the pair's weights that the activations are of; None of a file, which says nothing of them."""
    d_model: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(Prose)
    norm: Mapped[float] = mapped_column(Float)
    created: Mapped[datetime] = mapped_column(Moment)
    sources: Mapped[str] = mapped_column(Text)
    file: Mapped[str | None] = mapped_column(Prose)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """[1, d], see vectors.py."""


class VectorReadingRow(AttachedRow):
    """Readings of a vector: what the AV writes when it is asked once."""

    __tablename__ = "vector_reading"
    __table_args__ = (
        Index("vector_reading_vector", "vector_id"),
        Index("vector_reading_status", "status"),
    )

    parent_column = "vector_id"
    vector_id: Mapped[str] = mapped_column(ForeignKey("vectors.id", ondelete="CASCADE"))


class StudyRow(JobRow):
    """One study. An id is the hash of what was asked; `inputs` is that as JSON, `result` the figures as JSON in ASCII
    (empty until all cases are made).
    """

    __tablename__ = "study"
    __table_args__ = (Index("study_created", "created"), Index("study_status", "status"))

    kind: Mapped[str] = mapped_column(String(20))
    title: Mapped[str] = mapped_column(Prose)
    cases: Mapped[int] = mapped_column(Integer)
    """How many it is to have."""
    inputs: Mapped[str] = mapped_column(Text)
    result: Mapped[str] = mapped_column(Text, default="")


class StudyCaseRow(Base):
    """One case of a study that is made. `case_id` is the hash of what was asked of it: the same in every study that
    asks this. `document` is JSON in ASCII.
    """

    __tablename__ = "study_case"
    __table_args__ = (Index("study_case_case_id", "case_id"),)

    study_id: Mapped[str] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    case_id: Mapped[str] = mapped_column(String(40))
    document: Mapped[str] = mapped_column(Text)


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


class NotebookRow(Base):
    """A notebook."""

    __tablename__ = "notebook"
    __table_args__ = (Index("notebook_changed", "changed"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(Prose)
    created: Mapped[datetime] = mapped_column(Moment)
    changed: Mapped[datetime] = mapped_column(Moment)
    """The last change of it or of one of its entries."""


class NotebookEntryRow(Base):
    """An entry of a notebook, at a place of its order. What it shows may be deleted; the entry stays, with its note."""

    __tablename__ = "notebook_entry"
    __table_args__ = (Index("notebook_entry_notebook", "notebook_id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    notebook_id: Mapped[str] = mapped_column(ForeignKey("notebook.id", ondelete="CASCADE"))
    place: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(Prose)
    note: Mapped[str] = mapped_column(Prose)
    """Markdown, as it was typed."""
    analysis_id: Mapped[str | None] = mapped_column(String(40))
    position: Mapped[int | None] = mapped_column(Integer)
    edit_id: Mapped[str | None] = mapped_column(String(40))
    measurement_id: Mapped[str | None] = mapped_column(String(40))
    study_id: Mapped[str | None] = mapped_column(String(40))
    created: Mapped[datetime] = mapped_column(Moment)
    changed: Mapped[datetime] = mapped_column(Moment)


class EndedSessionRow(Base):
    """A login that was ended before it expired."""

    __tablename__ = "ended_session"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    expires: Mapped[datetime] = mapped_column(Moment)
