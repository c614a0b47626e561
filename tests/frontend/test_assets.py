from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from frontend import templating

VENDOR = templating.STATIC / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())["files"]
ELSEWHERE = re.compile(r"""(?:src|href|action|url\(|@import)\s*=?\s*["'(]?\s*(?:https?:)?//""")


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: str(entry["path"]))
def test_vendored_files_are_what_the_manifest_says(entry: dict[str, str]) -> None:
    assert hashlib.sha256((VENDOR / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: str(entry["path"]))
def test_vendored_files_come_with_version_and_licence(entry: dict[str, str]) -> None:
    assert entry["package"]
    assert entry["version"]
    assert entry["licence"]
    assert (VENDOR / entry["licence_file"]).stat().st_size > 200


def test_nothing_is_vendored_without_an_entry() -> None:
    named = {entry["path"] for entry in MANIFEST} | {entry["licence_file"] for entry in MANIFEST}
    files = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert {f for f in files if not f.startswith("swagger/")} == named | {"manifest.json"}


def test_every_script_and_style_is_ours_and_checked() -> None:
    page = BeautifulSoup(
        templating.render("error.html", {"title": "t", "status": 404, "detail": "d"}), "html.parser"
    )
    for tag in page.select("script, link[rel=stylesheet]"):
        address = str(tag.get("src") or tag.get("href"))
        assert address.startswith("/static/")
        body = (templating.STATIC / address.removeprefix("/static/").split("?")[0]).read_bytes()
        assert tag["integrity"] == "sha256-" + base64.b64encode(hashlib.sha256(body).digest()).decode()


# What the server sends; an exported file has its style and script in it, see test_html_export.py.
EXPORTED = {templating.TEMPLATES / name for name in ("standalone.html", "analysis/export.html")}
SENT = sorted(set(templating.TEMPLATES.rglob("*.html")) - EXPORTED)


@pytest.mark.parametrize("path", SENT, ids=lambda path: str(path.name))
def test_templates_have_no_inline_script_style_or_outside_address(path: Path) -> None:
    source = path.read_text()
    page = BeautifulSoup(source, "html.parser")
    assert not [tag for tag in page.find_all("script") if not tag.get("src")]
    assert not page.find_all("style")
    assert not re.search(r"\s(?:style|on[a-z]+|hx-on[:\w-]*)\s*=", source)
    assert not ELSEWHERE.search(source)


@pytest.mark.parametrize("name", [*templating.STYLES, "print.css", "export.css", "page.js"])
def test_our_own_assets_ask_nobody_else(name: str) -> None:
    assert not ELSEWHERE.search((templating.STATIC / name).read_text())


def test_every_style_sheet_is_linked_and_no_line_of_one_is_long() -> None:
    there = {
        path.relative_to(templating.STATIC).as_posix() for path in templating.STATIC.glob("styles/*.css")
    }
    assert there == set(templating.STYLES)
    for name in [*there, "print.css", "export.css"]:
        assert max(len(line) for line in (templating.STATIC / name).read_text().splitlines()) <= 120, name


def test_the_policy_allows_no_inline_script() -> None:
    assert "script-src 'self'" in templating.POLICY
    assert "unsafe" not in templating.POLICY


def test_the_scripts_of_an_analysis_stay_under_200_kilobytes_on_the_wire() -> None:
    named = re.findall(r"asset\('([\w./-]+\.js)'\)", (templating.TEMPLATES / "layout.html").read_text())
    listed = re.findall(r"'([\w./-]+\.js)'", (templating.TEMPLATES / "analysis/analysis.html").read_text())
    scripts = {*named, *listed}
    assert len(scripts) == 13
    assert sum(len(gzip.compress((templating.STATIC / name).read_bytes())) for name in scripts) < 200_000


def test_all_that_the_page_of_an_analysis_fetches_stays_under_250_kilobytes_on_the_wire() -> None:
    """Its fonts apart, which a browser keeps."""
    listed = re.findall(r"'([\w./-]+\.js)'", (templating.TEMPLATES / "analysis/analysis.html").read_text())
    named = re.findall(r"asset\('([\w./-]+\.js)'\)", (templating.TEMPLATES / "layout.html").read_text())
    files = {*named, *listed, *templating.STYLES, "print.css", "icon.svg"}
    assert sum(len(gzip.compress((templating.STATIC / name).read_bytes())) for name in files) < 250_000
