"""`python -m bench.study`: a study of multiplication on the demo pair, twice, each time in a data directory of its own.

Nothing of the first time is there for the second. Prints every figure as a Markdown table,
with what it ran on and how long it took, and whether all cases and figures came out the same twice; the exit status is
1 where they did not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.machine import machine
from server.cli_study import make
from server.settings import Settings
from server.studies.requests import MultiplicationRequest
from server.studies.schema import Statistic, Study


def once(request: MultiplicationRequest) -> Study:
    """The study, made from nothing. Raises SystemExit where it does not come to its end."""
    with tempfile.TemporaryDirectory() as folder:
        study = asyncio.run(make(Settings(data_dir=Path(folder), examples=False), request))
    if study.status != "done":
        raise SystemExit(f"{study.status}: {study.error}")
    return study


def rows(study: Study) -> Iterator[str]:
    """The table of all figures."""
    yield "| group | statistic | value (95 % interval) | by chance | p, corrected | n in cases |"
    yield "| --- " * 6 + "|"
    for group, statistics in study.statistics.items():
        for name, each in statistics.items():
            null = "" if each.null is None else with_interval(each.null.value, each.null.interval)
            p = "" if each.p_corrected is None else f"{each.p_corrected:.3f}"
            cells = [group, f"`{name}`", with_interval(each.value, each.interval), null, p, counted(each)]
            yield f"| {' | '.join(cells)} |"


def with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """A value with its interval, in three decimals."""
    if value is None:
        return "–"
    return f"{value:.3f}" + ("" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})")


def counted(statistic: Statistic) -> str:
    """Say how many numbers of how many cases were counted."""
    return f"{statistic.n} in {statistic.cases}"


def differences(first: Study, second: Study) -> list[str]:
    """List what did not come out the same: figures, then cases."""
    a, b = first.statistics, second.statistics
    found = [f"{group}.{name}" for group in a for name in a[group] if a[group][name] != b[group].get(name)]
    pairs = zip(first.cases, second.cases, strict=True)
    return found + [f"case {one.number + 1}, {one.label}" for one, other in pairs if one != other]


def main() -> None:
    """Make it twice, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--factors", type=int, nargs=4, default=[20, 99, 2, 9], help="the two ranges")
    parser.add_argument("--alphas", type=float, nargs="*", default=[1.0, 2.0], help="strengths of the edits")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, help="a folder for both studies as JSON, first.json and second.json"
    )
    asked = parser.parse_args()
    low, high, first, last = asked.factors
    request = MultiplicationRequest(
        kind="multiplication",
        problems=asked.problems,
        factors=[[low, high], [first, last]],
        edit_alphas=asked.alphas,
        seed=asked.seed,
    )
    studies = []
    for name in ("first", "second"):
        study = once(request)
        studies.append(study)
        if asked.keep:
            (asked.keep / f"{name}.json").write_text(study.model_dump_json(), "utf-8")
    print(f"{machine()}\n\n`{json.dumps(request.model_dump(exclude_defaults=True))}`\n")
    print(*rows(studies[0]), sep="\n", end="\n\n")
    print(*studies[0].notes, sep="\n", end="\n\n")
    seconds = " and ".join(f"{study.seconds or 0:,.0f}" for study in studies)
    print(f"{len(studies[0].cases)} cases in {seconds} s, each with a data directory of its own.\n")
    apart = differences(*studies)
    count = sum(map(len, studies[0].statistics.values()))
    if apart:
        print(f"Not the same twice: {', '.join(apart)}")
        raise SystemExit(1)
    print(f"All {count} figures and all cases are the same twice.")


if __name__ == "__main__":
    main()
