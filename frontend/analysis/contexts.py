"""One analysis as a page, and as a file that stands alone."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from frontend.analysis.panel_contexts import PanelContext
from frontend.analysis.ribbon_contexts import RibbonContext
from frontend.analysis.text_contexts import LegendContext, RowContext, TurnContext
from frontend.causal.contexts import CausalContext
from frontend.edits.contexts import ExportedEdit
from frontend.layout import ModelsContext
from frontend.lens.contexts import MapContext


@dataclass(frozen=True)
class StatusContext:
    """Progress of the analysis: how far it is, why it stopped, and what can be done about it."""

    state: str
    stage: str
    done: int
    total: int | None
    fraction: float | None
    left: str
    reason: str
    cancel: str
    resume: str


@dataclass(frozen=True)
class RowOfAll:
    """One line of the table of all readings."""

    position: int
    sample: int
    token: str
    href: str
    text: str
    swatch: str
    score: str
    template: bool


@dataclass(frozen=True)
class ExportLink:
    """A file to take along."""

    name: str
    holds: str
    href: str


@dataclass(frozen=True)
class AnalysisContext:
    """The page of one analysis, at any stage; the template knows it as `a`."""

    title: str
    facts: list[str]
    notes: list[str]
    status: StatusContext
    rows: list[RowContext]
    turns: list[TurnContext]
    legend: LegendContext
    ribbon: RibbonContext
    panel: PanelContext | None
    map: MapContext
    causal: CausalContext
    waiting: str
    all: list[RowOfAll]
    readings: str
    range: str
    again: str
    compare: str
    exports: list[ExportLink]
    delete: str
    stream: str | None
    causal_stream: str | None


@dataclass(frozen=True)
class AnalysisPage:
    """analysis/analysis.html"""

    a: AnalysisContext
    models: ModelsContext
    here: str = ""


@dataclass(frozen=True)
class ExportedPage:
    """analysis/export.html: a file that stands alone. `first` is the position whose panel is open; `panels`
    are the tokens' with the edits of each.
    """

    title: str
    said: list[str]
    notice: str
    rows: list[RowContext]
    turns: list[TurnContext]
    colours: LegendContext
    panels: list[tuple[PanelContext, list[ExportedEdit]]]
    edits: list[ExportedEdit]
    ribbon: RibbonContext
    first: int | None
    all: list[RowOfAll]
    permalink: str
    source: list[tuple[str, str]]
    exported: str
    policy: str
    icon: str
    style: Markup
    script: Markup
