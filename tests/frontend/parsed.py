"""Pages as a browser would parse them."""

from __future__ import annotations

import json
from typing import Any

from bs4 import BeautifulSoup, Tag

from frontend import templating
from frontend.analysis.contexts import AnalysisPage
from frontend.analysis.page import analysis_page
from frontend.analysis.view import View
from frontend.layout import ModelsContext
from frontend.view_state import ViewState
from server.analyses.schema import Analysis

READY = ModelsContext("smollm2-135m-l20", "ready", "resident")


def page(analysis: Analysis, wanted: int | None = None, **fields: Any) -> BeautifulSoup:
    view_state = fields.pop("view_state", ViewState(t=wanted))
    context = AnalysisPage(a=analysis_page(View(analysis, view_state, **fields)), models=READY)
    return BeautifulSoup(templating.render("analysis/analysis.html", context), "html.parser")


def one(soup: BeautifulSoup | Tag, selector: str) -> Tag:
    found = soup.select(selector)
    assert len(found) == 1, f"{len(found)} elements match {selector}"
    return found[0]


def curve(soup: BeautifulSoup) -> dict[str, Any]:
    """What the panel's chart is drawn from."""
    drawn: dict[str, Any] = json.loads(str(one(soup, "layer-curve")["data"]))
    return drawn


def words(tag: Tag) -> str:
    return " ".join(tag.get_text().split())
