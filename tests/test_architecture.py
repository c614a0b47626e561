"""docs/architecture.md names what there is, and imports point the way it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
TOP = r"(?:server|frontend|templates|static|training|bench|docs|tests)"
ROOMS = [
    "server.nla",
    "server.store",
    "server.pairs",
    "server.jobs",
    "server.analyses",
    "server.vectors",
    "server.interventions",
    "server.measurements",
    "server.studies",
]
ABOVE = ["server.mcp", "server.api", "frontend"]


@pytest.mark.parametrize("path", sorted(set(re.findall(rf"\b{TOP}/[\w./-]*\w", PAGE))))
def test_a_path_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", re.findall(r"`([A-Z]\w+)`", PAGE))
def test_a_class_that_is_named_is_there(name: str) -> None:
    found = [
        path for path in modules() if re.search(rf"^class {name}\b", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(found) == 1


def modules() -> Iterator[Path]:
    for top in ("server", "frontend"):
        yield from sorted((ROOT / top).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The modules that one imports when it is run, those for type checkers alone left out."""
    tree = ast.parse(path.read_text("utf-8"))
    typing = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_one_above_it(room: str) -> None:
    above = [*ROOMS[ROOMS.index(room) + 1 :], *ABOVE]
    folder = ROOT / room.replace(".", "/")
    upward = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in folder.rglob("*.py")
        for name in imports(path)
        if any(name == other or name.startswith(f"{other}.") for other in above)
    }
    assert upward == set()


PAGES = [
    path
    for pattern in ("templates/**/*.html", "static/*.js", "static/*.css", "static/styles/*.css")
    for path in sorted(ROOT.glob(pattern))
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_line_of_a_page_can_be_read_whole(path: Path) -> None:
    """Ruff holds Python's lines; nothing else holds these."""
    assert [n for n, line in enumerate(path.read_text("utf-8").splitlines(), 1) if len(line) > 120] == []
