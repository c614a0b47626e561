"""The file that opens without a server, as a browser would parse it."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from bs4 import BeautifulSoup

from frontend.analysis.html_export import html_export
from server.analyses.schema import Token
from server.jobs.progress import Progress
from tests.frontend import made
from tests.frontend.parsed import one, words

EVIL = "</style></script><script>alert(1)</script><img src=http://evil.example onerror=alert(1)>"
NOW = datetime(2026, 11, 21, 10, 24, tzinfo=UTC)


def file(**fields: Any) -> BeautifulSoup:
    made_up = made.analysis(**{"versions": {"nla-explorer": "0.1.0", "torch": "2.13.0"}, **fields})
    return BeautifulSoup(html_export(made_up, "http://here:8000/", NOW), "html.parser")


def test_every_token_leads_to_its_panel_in_the_same_file() -> None:
    soup = file()
    tokens = soup.select("#text .tok")
    assert [token["href"] for token in tokens] == [f"#t{n}" for n in range(len(made.CHAT))]
    for token in tokens:
        assert one(soup, f".panel[id='{str(token['href'])[1:]}']")


def test_the_ribbon_leads_to_panels_of_the_same_file() -> None:
    readings = [made.reading(n, text=f"Token {n} says {word}.") for n, word in ((5, "cats"), (6, "purr"))]
    soup = file(readings=readings)
    lines = soup.select(".ribbon a.gloss")
    assert [line["href"] for line in lines] == [f"#t{n}" for n in range(len(made.CHAT))]
    assert "purr" in words(one(soup, ".ribbon #line-6 .says"))
    assert soup.select(".ribbon [aria-current], .ribbon [hx-get]") == []


def test_a_panel_shows_readings_scores_baselines_and_flags() -> None:
    said = words(one(file(), "#t8"))
    assert "The recent words ask why cats purr" in said
    assert "Holds 16 % of the activation" in said
    assert "shuffled within this text, each reading dealt to its other content tokens: none" in said
    assert "Early position." in said


def test_an_export_says_what_was_quantised() -> None:
    assert "Quantised: the AV in FP8." in words(one(file(versions={"precision": "av=fp8"}), "#t8 .score"))


def test_one_panel_is_open_from_the_start() -> None:
    assert one(file(focus=7), ".panel.is-first")["id"] == "t7"


def test_tokens_are_coloured_by_their_scores() -> None:
    soup = file(readings=[made.reading(5, fve=0.47), made.reading(6, fve=0.99)])
    assert "s4" in one(soup, "#tok-5")["class"]
    assert "s9" in one(soup, "#tok-6")["class"]


def test_ids_are_unique() -> None:
    ids = [tag["id"] for tag in file().select("[id]")]
    assert len(ids) == len(set(ids))


def test_nothing_in_it_asks_anybody() -> None:
    soup = file()
    assert not soup.select("[src], [hx-get], [hx-post], [action], link[rel=stylesheet], base")
    links = {
        str(tag["href"]) for tag in soup.select("[href]") if not str(tag["href"]).startswith(("#", "data:"))
    }
    assert links == {"http://here:8000/a/abc123"}  # to be clicked, never fetched
    addresses = re.findall(r"url\(([^)]*)\)", one(soup, "style").get_text())
    assert addresses
    assert all(address.startswith('"data:font/woff2;base64,') for address in addresses)


def test_the_policy_lets_its_own_style_and_script_run_and_nothing_else() -> None:
    soup = file()
    policy = str(one(soup, "meta[http-equiv=Content-Security-Policy]")["content"])
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(one(soup, tag).get_text().encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_hostile_text_is_text_everywhere() -> None:
    tokens = made.tokens([(EVIL, "user", "prompt", False), (EVIL, "assistant", "generated", False)])
    soup = file(
        tokens=tokens,
        readings=[made.reading(0, text=EVIL), made.reading(1, text="", error=EVIL, cos=None, fve=None)],
        request=made.analysis().request.model_copy(update={"messages": None, "text": EVIL}),
        pair=EVIL,
        versions={EVIL: EVIL},
        status="failed",
        error=EVIL,
        focus=0,
    )
    assert len(soup.select("script")) == len(soup.select("style")) == 1
    assert not soup.select("img, [onerror]")
    for place in ("h1", "#t0 blockquote", "#t1 .failed-note", ".notice", ".facts"):
        assert "alert(1)" in one(soup, place).get_text()


def test_it_says_where_when_and_from_what_it_came() -> None:
    said = words(one(file(), ".source"))
    assert "http://here:8000/a/abc123" in said
    assert "smollm2-135m-l20, layer 20, V = 0.7" in said
    assert "2026-11-03 12:00 UTC" in said
    assert "2026-11-21 10:24 UTC" in said
    assert "nla-explorer 0.1.0, torch 2.13.0" in said


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("running", None, "This analysis was not finished when it was exported. 1 of 34 readings are here."),
        ("cancelled", None, "This analysis was cancelled. 1 of 34 readings are here."),
        ("failed", "No disk.", "This analysis stopped on an error: No disk. 1 of 34 readings are here."),
    ],
)
def test_an_unfinished_one_says_so(status: str, error: str | None, expected: str) -> None:
    progress = Progress(stage="readings", done=1, total=34)
    soup = file(status=status, error=error, readings=[made.reading(3)], progress=progress)
    assert words(one(soup, ".notice")) == expected
    assert "This position was not read." in words(one(soup, "#t4"))


def test_before_there_are_tokens_it_shows_what_was_typed() -> None:
    none: list[Token] = []
    soup = file(status="queued", tokens=none, readings=[], lens=None, progress=Progress(stage="queued"))
    assert words(one(soup, ".untokenised")) == "Why do cats purr when they sleep?"
    assert not soup.select(".panel")
