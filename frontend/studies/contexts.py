"""The pages of studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from frontend.analysis.contexts import ExportLink, StatusContext
from frontend.bars import Bar
from frontend.layout import ModelsContext
from frontend.lens.drawing import Tick
from frontend.library.contexts import Option
from frontend.studies.built_in_form import BuiltInForm
from frontend.studies.form import StudyForm
from frontend.studies.prompts_form import PromptsForm


@dataclass(frozen=True)
class ListedStudy:
    """One study in the list; `size` says how many of its cases are made."""

    href: str
    title: str
    kind: str
    pair: str
    status: str
    state: str
    size: str
    created: str
    created_iso: str


@dataclass(frozen=True)
class PromptsChoices:
    """Choices of the form of prompts, by value, and its bounds; `bytes` are those of a file."""

    pairs: list[Option]
    reply: int
    bytes: int
    most: str
    seed: int
    sources: Mapping[str, str]
    positions: Mapping[str, str]
    measures: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class StudiesPage:
    """studies/studies.html: `most` is how many problems this server takes, `largest` the largest factor, `countries`
    how many there are.
    """

    form: StudyForm
    built_in: Mapping[str, BuiltInForm]
    countries: int
    prompts: PromptsForm
    choices: PromptsChoices
    items: list[ListedStudy]
    older: str
    pairs: list[Option]
    most: int
    largest: int
    seed: int
    models: ModelsContext
    here: str = "studies"


@dataclass(frozen=True)
class BarGroup:
    """Bars of one question; `original` says what the original study found."""

    name: str
    bars: list[Bar]
    original: str = ""


@dataclass(frozen=True)
class BarFigure:
    """A figure of bars with a heading, and what has to be known to read it."""

    id: str
    title: str
    explained: str
    groups: list[BarGroup]


@dataclass(frozen=True)
class ChartLine:
    """One line of a chart with the band of its intervals, both as `x,y x,y …`."""

    colour: str
    name: str
    points: str
    band: str


@dataclass(frozen=True)
class ChartBox:
    """One bar of a histogram, from its top down to the axis, and the ends of its interval."""

    x: float
    width: float
    top: float
    height: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ChartPanel:
    """One drawing: what goes up, its lines or the boxes of a histogram (in a colour), and how high the original study's
    value is. `told` says what it is over.
    """

    name: str
    lines: list[ChartLine]
    up: list[Tick]
    original: float | None = None
    boxes: list[ChartBox] = field(default_factory=list)
    colour: str = ""
    told: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure of lines or boxes, `across` over layers, strengths or orders of magnitude, and the same as a table."""

    id: str
    title: str
    explained: str
    panels: list[ChartPanel]
    across_name: str
    across: list[Tick]
    head: list[str]
    rows: list[list[str]]
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


@dataclass(frozen=True)
class StatisticRow:
    """One statistic in the table of all."""

    name: str
    value: str
    interval: str
    null: str
    null_interval: str
    n: str
    p: str


@dataclass(frozen=True)
class StatisticGroup:
    """The statistics of one group."""

    name: str
    rows: list[StatisticRow]


@dataclass(frozen=True)
class Mark:
    """One digit of an answer: `state` is right or wrong."""

    digit: str
    state: str


@dataclass(frozen=True)
class Edited:
    """Outcome of an edit that put another country into the words: the `other` one, the model's first choice then, and
    whether that is the other one's capital.
    """

    other: str
    first: str
    carried: bool
    href: str


@dataclass(frozen=True)
class CaseRow:
    """One case in the table."""

    label: str
    href: str
    answer: list[Mark]
    said: str
    product: str
    verdict: str
    stated_at: str
    stated_before: str
    hinted_at: str
    hinted_before: str
    edited: list[Edited]
    score: str
    error: str


@dataclass(frozen=True)
class ShownReading:
    """A reading in a card: where it is, its words, its place on the page."""

    where: str
    text: str
    href: str


@dataclass(frozen=True)
class Card:
    """A case with some of its readings."""

    row: CaseRow
    readings: list[ShownReading]


@dataclass(frozen=True)
class Filter:
    """A choice of which cases are in the table."""

    label: str
    href: str
    current: bool


@dataclass(frozen=True)
class CasesContext:
    """The table of cases, with what narrows it and where its other pages are."""

    multiplication: bool
    capitals: bool
    filters: list[Filter]
    rows: list[CaseRow]
    found: str
    previous: str = ""
    following: str = ""


@dataclass(frozen=True)
class FindingsContext:
    """Findings of a study so far: in words, drawn, and as a table."""

    sentences: list[str]
    notes: list[str]
    bars: list[BarFigure]
    charts: list[Chart]
    table: list[StatisticGroup]
    striking: list[Card]
    random: list[Card]
    compared: bool


@dataclass(frozen=True)
class ReadRow:
    """A reading in the table of all: of which case, where, its words, its place on the page."""

    case: str
    where: str
    text: str
    href: str


@dataclass(frozen=True)
class ExportedStudy:
    """studies/export.html: a file that stands alone. `declaration` is YAML; `cut` says which readings are left out."""

    title: str
    facts: list[str]
    notice: str
    findings: FindingsContext
    cases: CasesContext
    readings: list[ReadRow]
    cut: str
    declaration: str
    permalink: str
    source: list[tuple[str, str]]
    exported: str
    policy: str
    icon: str
    style: Markup


@dataclass(frozen=True)
class StudyContext:
    """The page of one study, at any stage; the template knows it as `s`."""

    title: str
    facts: list[str]
    status: StatusContext
    findings: FindingsContext
    cases: CasesContext
    exports: list[ExportLink]
    delete: str
    notebook: str
    stream: str | None


@dataclass(frozen=True)
class StudyPage:
    """studies/study.html"""

    s: StudyContext
    models: ModelsContext
    here: str = "studies"
