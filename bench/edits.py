"""`python -m bench.edits`: how often an edit of one word in a reading changes what the model says, and how
often the verdict "the model changes its mind" is given where nothing was said that could change it.

Of every country whose capital the model knows, the reading of the country's token is edited to name another
country, in the AV's own words, and patched in: by replacing the activation, and by steering at several
strengths. It works when the model's next token is the other country's capital. In the same way, watching the
same capital, readings are patched in that say nothing of it. The unit of every interval is the country whose
sentence is edited. Prints Markdown tables with what they ran on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_jsonable_python
from scipy.stats import binomtest  # type: ignore[import-untyped]

from bench.machine import machine
from bench.served import TEXT
from server.analyses.readings import verbalise
from server.analyses.schema import Verbalise
from server.interventions.run import InterventionInputs, intervene
from server.interventions.schema import ContinuationParams, InterventionRequest
from server.nla.checkpoints.pairs import DEFAULT, catalogue
from server.nla.models.loaded_pair import LoadedPair, load
from server.nla.models.protocols import Reconstructor
from server.nla.verbalisers.base import Finished
from server.settings import Settings
from server.studies.countries import CAPITALS

NOUNS = ("bread", "window", "Tuesday", "violin", "river", "chemistry", "hammer", "winter")
WAYS: list[dict[str, Any]] = [
    {"mode": "replace"},
    *({"mode": "steer", "alpha": alpha} for alpha in (0.25, 0.5, 1.0)),
]
EDIT = "the edit"
RESAMPLES = 2000
Answer = dict[str, Any]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """A sentence that ends in the question for a capital: its ids, the activation [d] of its country, what
    the AV says of that, and what it says of the other words.
    """

    country: str
    ids: list[int]
    h: Vector
    reading: str
    others: list[str]


@dataclass(frozen=True)
class Made:
    """One text patched in by one way. `kind`: the edit, or what is irrelevant in its place."""

    country: str
    kind: str
    way: int
    answer: Answer


class ReadOnce:
    """An AR that remembers what it has read: the same texts come again with each way."""

    def __init__(self, reconstructor: Reconstructor) -> None:
        self._reconstructor = reconstructor
        self._known: dict[str, Vector] = {}

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        """See `Reconstructor`."""
        return await self._reconstructor.lengths(texts)

    async def reconstruct(self, texts: Sequence[str]) -> Vector:
        """[n, d], each text read by itself, once."""
        for text in texts:
            if text not in self._known:
                self._known[text] = (await self._reconstructor.reconstruct([text]))[0]
        return np.stack([self._known[text] for text in texts])

    async def close(self) -> None:
        """The AR is closed with its pair."""


async def readings(pair: LoadedPair, activations: Vector) -> list[str]:
    """Return the AV's reading of each row [n, d]."""
    found = {}
    async for finding in verbalise(pair, activations, Verbalise()):
        if isinstance(finding, Finished):
            found[finding.key[0]] = finding.text
    return [found[n] for n in range(len(activations))]


async def known(pair: LoadedPair, countries: Sequence[str]) -> list[Known]:
    """Countries whose capital the model says, and whose reading names them."""
    asked: list[tuple[str, list[int], Vector]] = []
    for country in countries:
        ids = pair.prompter.encode(None, f"The capital of {country} is")
        trace = await pair.target.trace(ids)
        said = pair.prompter.token_text(int(trace.lens.top_ids[-1][-1][0]))
        if f" {CAPITALS[country]}".startswith(said) and len(said) > 2:
            asked.append((country, ids, trace.activations))
    texts = iter(await readings(pair, np.concatenate([rows[1:] for _, _, rows in asked])))
    found = []
    for country, ids, rows in asked:
        own = [next(texts) for _ in rows[1:]]
        reading = own.pop(-2)
        if country in reading:
            found.append(Known(country, ids, rows[-2], reading, own))
    return found


async def unrelated(pair: LoadedPair, count: int) -> list[str]:
    """Readings of a text about something else."""
    trace = await pair.target.trace(pair.prompter.encode(None, TEXT))
    places = np.linspace(10, len(trace.activations) - 1, count).round().astype(int)
    return await readings(pair, trace.activations[places])


async def patched(
    pair: LoadedPair, places: Sequence[Known], each: int, strangers: Sequence[str]
) -> AsyncIterator[Made]:
    """Every edit and what is irrelevant in its place, by every way, watching the same two capitals."""
    for n, place in enumerate(places):
        others = await pair.reconstructor.reconstruct(place.others)
        for step in range(1, each + 1):
            other, third = (places[(n + far) % len(places)].country for far in (step, step + each))
            turn = n * each + step
            texts = {
                EDIT: place.reading.replace(place.country, other),
                "a reading of another text": strangers[turn % len(strangers)],
                "a reading of another word here": place.others[turn % len(place.others)],
                "a noun for the country": place.reading.replace(place.country, NOUNS[turn % len(NOUNS)]),
                "a third country": place.reading.replace(place.country, third),
            }
            for kind, text in texts.items():
                kept = [v for v, words in zip(others, place.others, strict=True) if words != text]
                for way, how in enumerate(WAYS):
                    request = InterventionRequest(
                        position=len(place.ids) - 2,
                        until=len(place.ids) - 1,
                        text=text,
                        targets=[f" {CAPITALS[place.country]}", f" {CAPITALS[other]}"],
                        generate=ContinuationParams(max_new_tokens=1),
                        delta="original" if how["mode"] == "steer" else None,
                        **how,
                    )
                    material = InterventionInputs(request, place.ids, place.h, place.reading, kept, None)
                    *_, result = [step async for step in intervene(pair, material)]
                    answer = to_jsonable_python(result)
                    yield Made(place.country, kind, way, answer)


def control(answer: Answer, kind: str) -> Answer:
    """The controls of one kind."""
    found: Answer = next(c for c in answer["controls"] if c["kind"] == kind)
    return found


def first(answer: Answer) -> bool:
    """Return whether the other capital is the next token."""
    return bool(answer["after"]["top"][0][0] == answer["after"]["targets"][1]["id"])


def raised(answer: Answer) -> bool:
    """Return whether it is likelier than as it is, with each other reading, and with the reading as it is."""
    controls = [
        each for c in answer["controls"] if c["kind"] in ("other", "unedited") for each in c["each_probs"]
    ]
    probs = [answer["before"]["targets"][1]["prob"], *(each[1] for each in controls)]
    return bool(answer["after"]["targets"][1]["prob"] > max(probs))


RULES: dict[str, Callable[[Answer], bool]] = {
    "no random direction moves it as far": lambda a: control(a, "random")["above"] == 0,
    "no other reading moves it as far": lambda a: control(a, "other")["above"] == 0,
    "the watched word is likelier than with each control": raised,
    "it is the first choice": first,
    "the verdict: both": lambda a: bool(
        a["verdict"] and a["verdict"]["changed"] and a["verdict"]["word"] == 1
    ),
}


def share(made: Sequence[Made], holds: Callable[[Answer], bool]) -> str:
    """Share of the cases in which it holds, with a 95 % interval that resamples countries. Where it never does, or
    always, there is nothing to resample: the interval is then that of as many countries as there are, of none or all of
    which it holds.
    """
    countries = sorted({m.country for m in made})
    counts = np.array(
        [
            [sum(holds(m.answer) for m in made if m.country == c), sum(m.country == c for m in made)]
            for c in countries
        ]
    )  # [countries, 2]
    held, of = counts.sum(0).tolist()
    if held in (0, of):
        low, high = binomtest(len(countries) if held else 0, len(countries)).proportion_ci(method="exact")
    else:
        drawn = np.random.default_rng(0).integers(len(countries), size=(RESAMPLES, len(countries)))
        sums = counts[drawn].sum(1)
        low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    return f"{held} of {of} ({held / of:.0%}, {low:.0%} to {high:.0%})"


def effects(made: Sequence[Made]) -> list[str]:
    """The figures of the edits by one way."""
    answers = [m.answer for m in made]
    random, other = ([control(a, kind) for a in answers] for kind in ("random", "other"))
    changed = sum(a["after"]["top"][0][0] != a["before"]["top"][0][0] for a in answers)
    return [
        share(made, first),
        f"{changed}",
        f"{np.mean([a['before']['targets'][1]['prob'] for a in answers]):.2%}",
        f"{np.mean([a['after']['targets'][1]['prob'] for a in answers]):.1%}",
        f"{np.mean([c['probs'][1] for c in other]):.2%}",
        f"{np.mean([c['probs'][1] for c in random]):.2%}",
        f"{np.median([a['kls'][-1] for a in answers]):.2f}",
        f"{np.median([kl for c in other for kl in c['each_kl']]):.2f}",
        f"{np.median([kl for c in random for kl in c['each_kl']]):.2f}",
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """In Markdown."""
    print("| " + " | ".join(head) + " |")
    print("| --- " * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def told(made: Sequence[Made]) -> None:
    """All tables."""
    names = [how["mode"] + (f", α = {how['alpha']:g}" if "alpha" in how else "") for how in WAYS]
    by = {
        (way, kind): [m for m in made if (m.way, m.kind) == (way, kind)]
        for way in range(len(WAYS))
        for kind in dict.fromkeys(m.kind for m in made)
    }
    print("Edits:\n")
    table(
        [
            "patch",
            "other capital said (95 % interval)",
            "first choice changed",
            "P(other capital) as it is",
            "patched",
            "other readings",
            "at random",
            "KL, median",
            "other readings",
            "at random",
        ],
        [[name, *effects(by[way, EDIT])] for way, name in enumerate(names)],
    )
    print("How often each statement holds:\n")
    irrelevant = {way: [m for m in made if m.way == way and m.kind != EDIT] for way in range(len(WAYS))}
    table(
        ["statement", "patch", EDIT, "irrelevant readings"],
        [
            [rule, name, share(by[way, EDIT], holds), share(irrelevant[way], holds)]
            for rule, holds in RULES.items()
            for way, name in enumerate(names)
        ],
    )
    print("The verdict, by what is put in:\n")
    *_, verdict = RULES.values()
    kinds = list(dict.fromkeys(m.kind for m in made))
    table(
        ["put in", *names],
        [[kind, *(share(by[way, kind], verdict) for way in range(len(WAYS)))] for kind in kinds],
    )


def note(raw: Path, made: Made) -> None:
    """Add a line to the file of all answers."""
    with raw.open("a", encoding="utf-8") as lines:
        print(json.dumps(asdict(made)), file=lines)


async def measured(tried: Sequence[str], each: int, raw: Path | None) -> tuple[list[Known], list[Made]]:
    """The countries that serve, and every edit of them; in `raw` a line each, as they come."""
    cache_dir = Settings().cache_dir
    loaded = await load(catalogue(None, cache_dir)[DEFAULT], cache_dir=cache_dir)
    try:
        pair = replace(loaded, reconstructor=ReadOnce(loaded.reconstructor))
        places = await known(pair, tried)
        strangers = await unrelated(pair, 16)
        made = []
        async for found in patched(pair, places, each, strangers):
            made.append(found)
            if raw is not None:
                note(raw, found)
        return places, made
    finally:
        await loaded.close()


def main() -> None:
    """Ask, edit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=1, help="other countries for each country")
    parser.add_argument("--countries", type=int, default=len(CAPITALS), help="how many countries to try")
    parser.add_argument("--raw", type=Path, help="a file for all answers, a line each")
    parser.add_argument(
        "--read", type=Path, help="print the tables of a file that --raw wrote, and ask nothing"
    )
    asked = parser.parse_args()
    fewest = 2 * asked.each + 1  # for each country `each` others, and as many third ones
    if asked.countries < fewest:
        parser.error(
            f"--countries {asked.countries}: at least {fewest} countries are needed with --each {asked.each}."
        )
    if asked.read:
        told([Made(**json.loads(line)) for line in asked.read.read_text("utf-8").splitlines()])
        return
    tried = list(CAPITALS)[: asked.countries]
    places, made = asyncio.run(measured(tried, asked.each, asked.raw))
    versions = machine()
    print(f"{versions} (`--each {asked.each}`)\n")
    print(
        f"{len(places)} of {len(tried)} countries: the model says the capital, and the reading names the country.\n"
    )
    print(
        f"Other readings beside each: {control(made[0].answer, 'other')['n']}, of the sentence's other words.\n"
    )
    told(made)


if __name__ == "__main__":
    main()
