"""The steps of `.ci/run` leave no test out."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_the_tests_leave_out_by_default_has_a_step_of_its_own() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    addopts = shlex.split(options["addopts"])
    assert addopts.count("-m") == 1
    assert addopts[addopts.index("-m") + 1] == "not browser and not demo and not training"
    for file in (ROOT / ".ci" / "run", ROOT / "README.md"):
        commands = re.findall(r"uv run pytest(.*)", file.read_text())
        assert [shlex.split(command, comments=True) for command in commands] == [
            ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"],
            ["-n", "2", "--dist", "loadfile", "-m", "browser"],
            ["-n", "2", "--dist", "loadfile", "-m", "demo"],
            ["-n", "2", "--dist", "loadfile", "-m", "training"],
        ], file
