"""`python -m bench.edits`: how often an edit of one word in a reading changes what the model says.

Of every country whose capital the model knows, the reading of the country's token is edited to name another country, in the AV's
own words, and patched in: by replacing the activation, and by steering at several strengths. It works when the model's next
token is the other country's capital. Prints a Markdown table with what it ran on.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest  # type: ignore[import-untyped]

from bench.machine import machine
from bench.served import Served

CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Japan": "Tokyo",
    "Russia": "Moscow",
    "China": "Beijing",
    "Egypt": "Cairo",
    "Greece": "Athens",
    "Poland": "Warsaw",
    "Austria": "Vienna",
    "Portugal": "Lisbon",
    "Sweden": "Stockholm",
    "Norway": "Oslo",
    "Turkey": "Ankara",
    "Canada": "Ottawa",
}
WAYS: list[dict[str, Any]] = [
    {"mode": "replace"},
    *({"mode": "steer", "alpha": alpha} for alpha in (0.25, 0.5, 1.0)),
]


@dataclass(frozen=True)
class Known:
    """A sentence that ends in the question for a capital, and what the AV says of its country."""

    country: str
    id: str
    position: int
    reading: str


def known(served: Served) -> Iterator[Known]:
    """Countries whose capital the model says, and whose reading names them."""
    for country, capital in CAPITALS.items():
        made = served.client.post("/api/analyses", json={"text": f"The capital of {country} is"}).json()
        with served.client.stream("GET", f"/api/analyses/{made['id']}/events") as events:
            for _ in events.iter_lines():
                pass
        found = served.client.get(f"/api/analyses/{made['id']}").json()
        position = len(found["tokens"]) - 2
        reading = next(r["text"] for r in found["readings"] if r["position"] == position)
        said = found["lens"]["top"][-1][-1][0][1]
        if f" {capital}".startswith(said) and len(said) > 2 and country in reading:
            yield Known(country, made["id"], position, reading)


def edits(served: Served, countries: list[Known], each: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every edit by every way: the number of the way, and the answer."""
    for n, place in enumerate(countries):
        for step in range(1, each + 1):
            other = countries[(n + step) % len(countries)].country
            body = {
                "position": place.position,
                "text": place.reading.replace(place.country, other),
                "targets": [f" {CAPITALS[place.country]}", f" {CAPITALS[other]}"],
                "generate": {"max_new_tokens": 1},
            }
            for way, how in enumerate(WAYS):
                answer = served.client.post(f"/api/analyses/{place.id}/interventions", json=body | how)
                yield way, answer.raise_for_status().json()


def line(made: list[dict[str, Any]]) -> list[str]:
    """The figures of one way."""
    worked = sum(a["after"]["top"][0][0] == a["after"]["targets"][1]["id"] for a in made)
    changed = sum(a["after"]["top"][0][0] != a["before"]["top"][0][0] for a in made)
    random = [next(c for c in a["controls"] if c["kind"] == "random") for a in made]
    low, high = binomtest(worked, len(made)).proportion_ci(method="wilson")
    return [
        f"{worked} of {len(made)} ({worked / len(made):.0%}, {low:.0%} to {high:.0%})",
        str(changed),
        f"{statistics.mean(a['before']['targets'][1]['prob'] for a in made):.2%}",
        f"{statistics.mean(a['after']['targets'][1]['prob'] for a in made):.1%}",
        f"{statistics.mean(c['probs'][1] for c in random):.2%}",
        f"{sum(c['n'] - c['kept'] for c in random)} of {sum(c['n'] for c in random)}",
        f"{statistics.median(a['kl'] for a in made):.2f}",
        f"{statistics.median(c['kl'] for c in random):.2f}",
    ]


def main() -> None:
    """Ask, edit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=3, help="other countries for each country")
    each = parser.parse_args().each
    answers: dict[int, list[dict[str, Any]]] = {way: [] for way in range(len(WAYS))}
    with tempfile.TemporaryDirectory() as folder, Served(Path(folder)) as served:
        countries = list(known(served))
        for way, answer in edits(served, countries, each):
            answers[way].append(answer)
    print(f"{machine()} (`--each {each}`)\n")
    print(
        f"{len(countries)} of {len(CAPITALS)} countries: the model says the capital, and the reading names the country.\n"
    )
    print(
        "| patch | other capital said (95 % interval) | first choice changed | P(other capital) as it is | patched | at random "
        "| first choice changed at random | KL, median | at random |"
    )
    print("| --- " * 9 + "|")
    for way, how in enumerate(WAYS):
        name = how["mode"] + (f", α = {how['alpha']:g}" if "alpha" in how else "")
        print("| " + " | ".join([name, *line(answers[way])]) + " |")


if __name__ == "__main__":
    main()
