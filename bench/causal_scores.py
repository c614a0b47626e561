"""`python -m bench.causal_scores`: what causal scores say of the readings of a pair, beside their nulls.

Every token of some texts, written for this, is read, the readings are turned back into activations, and each takes
its activation's place. The same with the text's mean activation, with another reading (as it is, and turned to the same
angle), with a random direction at that angle, and with a planted fake: the reading with the name of its final token
changed to that of another token of the text. Then the
readings are shuffled, and written in lower case. The unit of every interval is the text. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.machine import machine
from server.analyses.pipeline import Found, RunState, Traced, analyse, encode
from server.analyses.readings import Scored
from server.analyses.schema import AnalysisRequest
from server.analyses.watched import WatchedPositions
from server.measurements import form
from server.measurements.causal import CausalScores, measure
from server.measurements.inputs import MeasurementInputs, ScoredReading
from server.measurements.schema import CONTROLS, CausalScore, FormResult, MeasurementRequest
from server.nla.checkpoints.pairs import DEFAULT, catalogue
from server.nla.models.loaded_pair import LoadedPair, load
from server.nla.verbalisers.base import Finished
from server.settings import Settings

TEXTS = (
    "The ferry to the island leaves at seven every morning, and it is full by half past six.",
    "She put the letter back into its envelope and said nothing about it for a year.",
    "Water boils at a lower temperature on a mountain because the air pressure is lower there.",
    "The committee voted nine to two against the new stadium, the mayor's office said on Monday.",
    "def area(width, height):\n    return width * height\n\nprint(area(3, 4))",
    "Preheat the oven to 200 degrees, grease the tin, and beat the eggs with the sugar.",
    "The capital of Portugal is Lisbon, and the capital of Hungary is Budapest.",
    "Dear Mr. Lindqvist, thank you for your application. We would like to invite you to an interview.",
    "In 1911 Marie Curie was awarded a second Nobel Prize, this time in chemistry.",
    "My grandmother kept bees behind the barn and sold the honey at the Saturday market.",
    "If the patient has a fever for more than three days, a doctor should be consulted.",
    "The shares fell by four percent after the company lowered its forecast for the third quarter.",
    "Once upon a time a fox lived under a bridge and asked every traveller for a riddle.",
    "Photosynthesis turns carbon dioxide and water into sugar and oxygen with the energy of light.",
    "You are a careful assistant. Answer in one sentence, and say so when you do not know.",
    "The goalkeeper dived to his left, but the ball went in off the right-hand post.",
    "SELECT name, price FROM products WHERE price > 100 ORDER BY price DESC;",
    "The museum is closed on Tuesdays; on other days it opens at ten and closes at six.",
    "Rain had fallen all night, and in the morning the river stood level with the road.",
    "He learned to play the violin at forty, which his neighbours did not appreciate.",
    "A triangle with sides of 3, 4 and 5 has a right angle between the two shorter ones.",
    "The senator denied that she had met the lobbyist before the bill was written.",
    "Roses are red, violets are blue, the train is late and so are you.",
    "Turn left at the church, go past the school, and the bakery is on the corner.",
)
NAMED = re.compile(r'(The final token is )"([^"]*)"')
RESAMPLES = 2000
FAKE = "fake"


@dataclass(frozen=True)
class Measured:
    """One text: the causal scores of its content, its cosines, and KL of (true reading, fake) where one was planted."""

    scores: list[CausalScore]
    correlation: float | None
    fakes: list[tuple[float, float]]
    form: FormResult
    seconds_reading: float
    seconds_measuring: float


async def measured(pair: LoadedPair, text: str, horizon: int) -> Measured:
    """Read a text, measure its readings, and plant a fake in each that names its final token."""
    request = AnalysisRequest(pair=pair.name, text=text)
    state = RunState(request, encode(pair.prompter, request))
    traced: Traced | None = None
    texts: dict[tuple[int, int], str] = {}
    scored: dict[tuple[int, int], ScoredReading] = {}
    began = time.perf_counter()
    async with aclosing(analyse(pair, state, WatchedPositions())) as steps:
        async for step in steps:
            if isinstance(step, Traced):
                traced = step
            for finding in step.findings if isinstance(step, Found) else ():
                if isinstance(finding, Finished):
                    texts[finding.key] = finding.text
                elif isinstance(finding, Scored):
                    for key, score in finding.scores.items():
                        scored[key] = ScoredReading(key, texts[key], finding.vectors[key], score.cos)
    read = time.perf_counter()
    assert traced is not None
    inputs = MeasurementInputs(
        request=MeasurementRequest(horizon=horizon),
        ids=[token.id for token in traced.tokens],
        activations=traced.activations,
        content={token.position for token in traced.tokens if token.content},
        readings=list(scored.values()),
    )
    result: CausalScores | None = None
    async with aclosing(measure(pair, inputs)) as found:
        async for one in found:
            result = one if isinstance(one, CausalScores) else result
    assert result is not None and result.content is not None
    ended = time.perf_counter()
    content = [score for score in result.scores if score.position in inputs.content]
    fakes = await _fakes(pair, inputs, content)
    lost: FormResult | None = None
    async with aclosing(form.measure(pair, inputs, form.Units([0] * len(inputs.ids), "turns"))) as losses:
        async for found_now in losses:
            lost = found_now if isinstance(found_now, FormResult) else lost
    assert lost is not None
    return Measured(content, result.content.correlation, fakes, lost, read - began, ended - read)


async def _fakes(
    pair: LoadedPair, inputs: MeasurementInputs, scores: Sequence[CausalScore]
) -> list[tuple[float, float]]:
    """KL of each true reading and of the same words with another token's name."""
    texts = {reading.key[0]: reading.text for reading in inputs.readings}
    names = {p: found[2] for p, text in texts.items() if (found := NAMED.search(text))}
    random = np.random.default_rng(0)
    planted: dict[int, str] = {}
    for score in scores:
        others = sorted({name for p, name in names.items() if name != names.get(score.position)})
        if score.position in names and others:
            other = others[int(random.integers(len(others)))]
            text = texts[score.position]
            start, end = NAMED.search(text).span(2)  # type: ignore[union-attr]
            planted[score.position] = text[:start] + other + text[end:]
    if not planted:
        return []
    vectors = await pair.reconstructor.reconstruct(list(planted.values()))
    kls: list[float] = []
    async for batch in pair.target.patch_each(inputs.ids, list(planted), vectors, 0):
        kls += batch.kls[:, 0].tolist()
    true = {score.position: score.reading.kl for score in scores}
    return [(true[position], kl) for position, kl in zip(planted, kls, strict=True)]


def interval(
    texts: Sequence[Measured], statistic: Callable[[Sequence[Measured]], float]
) -> tuple[float, float, float]:
    """The statistic of all texts, and the middle 95 % of it over resampled texts."""
    random = np.random.default_rng(0)
    drawn = [
        statistic([texts[n] for n in random.integers(len(texts), size=len(texts))]) for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return statistic(texts), float(low), float(high)


def undone(name: str, *, after: bool) -> Callable[[Sequence[Measured]], float]:
    """1 − Σ KL / Σ KL(mean), over the positions that have both."""

    def statistic(texts: Sequence[Measured]) -> float:
        pairs = [
            (getattr(effect, field), getattr(score.mean, field))
            for text in texts
            for score in text.scores
            if (effect := getattr(score, name)) is not None and score.mean is not None
        ]
        whole = np.asarray([pair for pair in pairs if None not in pair], float)
        return float(1 - whole[:, 0].sum() / whole[:, 1].sum())

    field = "kl_after" if after else "kl"
    return statistic


def kept(name: str) -> Callable[[Sequence[Measured]], float]:
    """The share of positions at which the first choice stays."""
    return lambda texts: float(
        np.mean([effect.kept for t in texts for s in t.scores if (effect := getattr(s, name)) is not None])
    )


def nats(name: str) -> Callable[[Sequence[Measured]], float]:
    """The mean KL."""
    return lambda texts: float(
        np.mean([effect.kl for t in texts for s in t.scores if (effect := getattr(s, name)) is not None])
    )


def found_out(texts: Sequence[Measured]) -> float:
    """The share of planted fakes that move the model further than the true reading does; 0.5 by chance."""
    pairs: NDArray[np.float64] = np.asarray([pair for text in texts for pair in text.fakes])
    return float((pairs[:, 1] > pairs[:, 0]).mean())


def lost_of(kind: str, field: str) -> Callable[[Sequence[Measured]], float]:
    """The share of what the readings hold, or undo, that is lost in another form; each text by its readings."""

    def statistic(texts: Sequence[Measured]) -> float:
        whole = sum(getattr(t.form, "held" if field == "lost" else "undone") * t.form.n for t in texts)
        losses = [(next(loss for loss in t.form.losses if loss.kind == kind), t.form.n) for t in texts]
        return float(sum(getattr(loss, field) * n for loss, n in losses) / whole)

    return statistic


def said(found: tuple[float, float, float], digits: int = 2) -> str:
    """`0.74 [0.70, 0.78]`."""
    value, low, high = (f"{number:.{digits}f}" for number in found)
    return f"{value} [{low}, {high}]"


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.causal_scores", description=__doc__)
    parser.add_argument("--pair", default=DEFAULT)
    parser.add_argument("--texts", type=int, default=len(TEXTS))
    parser.add_argument("--horizon", type=int, default=4)
    options = parser.parse_args()
    settings = Settings()
    pair = await load(
        catalogue(settings.pairs_file, settings.cache_dir)[options.pair], cache_dir=settings.cache_dir
    )
    texts = [await measured(pair, text, options.horizon) for text in TEXTS[: options.texts]]
    await pair.close()
    positions = sum(len(text.scores) for text in texts)
    print(machine())
    print(f"\n{pair.name}: {positions} content positions of {len(texts)} texts, horizon {options.horizon}.\n")
    print("| in the activation's place | causal score | after | KL, nats | first choice kept |")
    print("| --- | --- | --- | --- | --- |")
    for name, label in (
        ("reading", "the reading"),
        ("other", "another reading at the same angle"),
        ("shuffled", "another reading"),
        ("mean", "the text's mean activation"),
        ("random", "a random direction at the same angle"),
    ):
        cells = [undone(name, after=False), undone(name, after=True), nats(name), kept(name)]
        print(f"| {label} | {' | '.join(said(interval(texts, each)) for each in cells)} |")
    correlations = [text for text in texts if text.correlation is not None]
    mean = interval(correlations, lambda some: float(np.mean([text.correlation for text in some])))
    print(f"\nSpearman's correlation of causal and round-trip scores within a text: {said(mean)}.")
    count = sum(len(text.fakes) for text in texts)
    print(
        f"Of {count} planted fakes, {said(interval([t for t in texts if t.fakes], found_out))} move the model further "
        "than the true reading."
    )
    print("\n| the readings | lose of the FVE | lose of what they undo |\n| --- | --- | --- |")
    for kind in form.KINDS:
        cells = [lost_of(kind, field) for field in ("lost", "undone_lost")]
        print(
            f"| {kind.replace('_', ' ')} | {' | '.join(said(interval(texts, each)) for each in cells)} |\n",
            end="",
        )
    reading, measuring = (sum(t.seconds_reading for t in texts), sum(t.seconds_measuring for t in texts))
    print(f"\nReading took {reading:.0f} s, measuring {measuring:.0f} s ({measuring / reading:.0%}).")
    assert set(CONTROLS) == {"mean", "other", "shuffled", "random"}


if __name__ == "__main__":
    asyncio.run(main())
