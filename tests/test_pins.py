"""What `uv run`, CI and the images install is the same, and it is what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASKED = {
    "base.txt": PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["mcp"],
    "dev.txt": PROJECT["project"]["dependencies"]
    + PROJECT["project"]["optional-dependencies"]["mcp"]
    + PROJECT["dependency-groups"]["dev"],
    "ray.txt": PROJECT["project"]["dependencies"]
    + PROJECT["project"]["optional-dependencies"]["mcp"]
    + PROJECT["project"]["optional-dependencies"]["ray"]
    + PROJECT["dependency-groups"]["dev"],
    "vllm.txt": PROJECT["project"]["dependencies"]
    + PROJECT["project"]["optional-dependencies"]["vllm"]
    + PROJECT["project"]["optional-dependencies"]["postgres"]
    + PROJECT["project"]["optional-dependencies"]["quantised"]
    + PROJECT["project"]["optional-dependencies"]["mcp"],
    "cluster.txt": PROJECT["project"]["dependencies"]
    + PROJECT["project"]["optional-dependencies"]["vllm"]
    + PROJECT["project"]["optional-dependencies"]["postgres"]
    + PROJECT["project"]["optional-dependencies"]["quantised"]
    + PROJECT["project"]["optional-dependencies"]["mcp"]
    + PROJECT["project"]["optional-dependencies"]["ray"],
}
PINNED = [*ASKED, "uv.txt", "docker.txt"]


def logical_lines(name: str) -> list[str]:
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(name: str) -> list[Requirement]:
    return [Requirement(line.split(" --hash")[0].strip()) for line in logical_lines(name)]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ASKED)
def test_pins_satisfy_what_is_asked_for(name: str) -> None:
    versions: dict[str, list[str]] = {}
    for pin in pins(name):
        versions.setdefault(canonical(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    for wish in map(Requirement, ASKED[name]):
        found = versions.get(canonical(wish.name), [])
        assert found, f"{wish.name} is not pinned in requirements/{name}: run requirements/update"
        assert all(wish.specifier.contains(v) for v in found), f"{wish} is pinned to {found}"


@pytest.mark.parametrize("name", PINNED)
def test_every_pin_is_exact_and_has_hashes(name: str) -> None:
    for line in logical_lines(name):
        assert re.match(r"^[A-Za-z0-9._-]+==\S+", line)
        assert "--hash=sha256:" in line


@pytest.mark.parametrize("name", PINNED)
def test_no_index_is_named(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)", text, re.MULTILINE)


def test_base_pins_are_among_those_of_the_tests() -> None:
    assert {str(pin) for pin in pins("base.txt")} <= {str(pin) for pin in pins("dev.txt")}


def test_uv_run_is_held_to_the_same_versions() -> None:
    held = {
        f"{r.name}{r.specifier}" for r in map(Requirement, PROJECT["tool"]["uv"]["constraint-dependencies"])
    }
    assert held == {f"{pin.name}{pin.specifier}" for pin in pins("ray.txt")}


def test_the_tests_have_the_same_versions_with_ray() -> None:
    held = {f"{canonical(pin.name)}{pin.specifier}" for pin in pins("ray.txt")}
    assert {f"{canonical(pin.name)}{pin.specifier}" for pin in pins("dev.txt")} <= held
