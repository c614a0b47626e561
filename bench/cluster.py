"""`python -m bench.cluster`: the demo pair in the server's own process and on a Ray cluster of one node, in turn.

The cluster has one replica of each model.

Prints a Markdown table with what it ran on. The texts of a round are the same for both. Needs the extra `ray`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bench.machine import RAY, machine
from bench.served import Served
from server.settings import Settings

WHAT = ("lens", "first word of a reading", "last score")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    os.environ |= RAY
    from ray.cluster_utils import Cluster

    cpus = os.cpu_count() or 1
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3 * cpus, "include_dashboard": False})
    print(f"{machine()}, ray {version('ray')}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        here = Settings(data_dir=work / "here", port=0)
        there = Settings(
            data_dir=work / "there", port=0, models="ray", ray_address=cluster.address, ray_cpus=cpus
        )
        with Served(work, here) as local, Served(work, there) as spread:
            found: dict[str, list[dict[str, float]]] = {"here": [], "cluster": []}
            for n in range(options.rounds + 1):  # the first warms up
                for name, served in (("here", local), ("cluster", spread)):
                    found[name].append(served.analyse(options.positions, f"Round {n}."))
    print(
        f"\n{options.positions} positions, {options.rounds} rounds in turn: seconds in each round, and medians\n"
    )
    print("| to | own process | cluster | cluster / own |\n| --- | --- | --- | --- |")
    for what in WHAT:
        times = {name: [took[what] for took in rounds[1:]] for name, rounds in found.items()}
        columns = [", ".join(f"{t:.2f}" for t in times[name]) for name in found]
        ratio = np.median(times["cluster"]) / np.median(times["here"])
        print(f"| {what} | {columns[0]} | {columns[1]} | {ratio:.2f} |")
    later = [
        (there["first word of a reading"] - there["lens"]) - (here["first word of a reading"] - here["lens"])
        for here, there in zip(found["here"][1:], found["cluster"][1:], strict=True)
    ]
    print(f"\nfirst word, counted from the lens, later by {1000 * float(np.median(later)):.0f} ms (median)")


if __name__ == "__main__":
    main()
