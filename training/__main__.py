"""`python -m training`: the demo pair from nothing, in stages that are skipped when their files are there.

texts -> positions -> AR and AV on the descriptions -> rounds -> adapters -> report
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from bench.machine import machine
from server.nla.checkpoints.card import FILE as CARD
from server.nla.checkpoints.demo import ADAPTERS, SHORT_TEMPLATE, unpack_target
from training import export, kinds, models, prompts, report, rounds, texts, tune
from training.claims import parsed
from training.positions import Positions, collect, lay_out, trace

SEED = 0
BATCH, RATE = 16, 1e-3
ROUND_RATE = 5e-4
SURE_RATE = 2e-4
BEGUN = "nothing yet"
"""The stage of a round trip through the adapters that were begun with."""


@dataclass(frozen=True)
class Plan:
    """Sizes of each stage."""

    texts: int = 2100
    texts_seed: int = SEED
    """Of the texts alone: all else is drawn by `SEED`."""
    more: dict[str, int] = field(default_factory=lambda: kinds.MORE)
    """Texts of some kinds that are trained on besides."""
    text_tokens: int = 72
    ar_steps: int = 1600
    av_steps: int = 1750
    round_positions: tuple[int, ...] = (512, 1024)
    samples: tuple[int, ...] = (3, 1)
    """Readings of each position in a round; with more than one, the AV is trained on the best of them."""
    temperatures: tuple[float, ...] = (0.8, 0.0)
    """The last round reads greedily, as the explorer does unless told otherwise."""
    best_steps: tuple[int, ...] = (120, 0)
    """Steps of the AV on the best readings of a round."""
    round_steps: tuple[int, ...] = (200, 320)
    """Steps of the AR on all readings so far."""
    sure_steps: int = 120
    """Steps of the AV on how sure it is to be of its own candidates."""
    mixed: tuple[float, ...] = (0.5, 0.5)
    """Descriptions for each reading, so that the AR does not forget them."""
    trips: int = 200
    """Held-out positions on which the round trip is measured after the warm start and after each round."""


class Work:
    """The working folder: one file or folder a stage."""

    def __init__(self, folder: Path, plan: Plan, start: Path | None = None) -> None:
        self.folder = folder
        self.plan = plan
        self.start = start
        """The adapters to begin with, if any."""
        folder.mkdir(parents=True, exist_ok=True)
        self.target = folder / "target"
        if not (self.target / "config.json").exists():
            unpack_target(self.target)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.target)
        self.av_tokenizer: Any = AutoTokenizer.from_pretrained(self.target)
        # The target's own template would put its system message before the activation.
        self.av_tokenizer.chat_template = SHORT_TEMPLATE

    def written(self, model: Any) -> list[texts.Text]:
        """Stage one: the texts, finished by `model` as far as they are not there."""
        return texts.write(
            model,
            self.tokenizer,
            kinds.every(self.plan.texts, self.plan.texts_seed),
            self.folder / "texts.jsonl",
            tokens=self.plan.text_tokens,
            batch=400,
            seed=self.plan.texts_seed,
        )

    def positions(self) -> Positions:
        """Stages one and two: the texts and their positions."""
        folder = self.folder / "positions"
        if not (folder / "positions.jsonl").exists():
            model = models.base(self.target, attention="sdpa")
            written = self.written(model)
            folder.mkdir(exist_ok=True)
            collect(model, self.tokenizer, written, seed=SEED).save(folder)
        return Positions.load(folder)

    def more(self) -> Positions:
        """Positions of more texts to train on, of the kinds that the pair reads worst."""
        folder = self.folder / "more"
        if not (folder / "positions.jsonl").exists():
            model = models.base(self.target, attention="sdpa")
            folder.mkdir(exist_ok=True)
            made = kinds.more(self.plan.texts_seed, self.plan.more)
            collect(model, self.tokenizer, made, seed=SEED).save(folder)
        return Positions.load(folder)

    def prompts(self) -> Positions:
        """The positions of the texts that the report reads beside the held-out ones."""
        folder = self.folder / "prompts"
        if not (folder / "positions.jsonl").exists():
            model = models.base(self.target, attention="sdpa")
            folder.mkdir(exist_ok=True)
            written = texts.write(
                model, self.tokenizer, prompts.texts(SEED), folder / "texts.jsonl",
                tokens=self.plan.text_tokens, batch=400, seed=SEED,
            )  # fmt: skip
            laid = [
                (n, lay_out(self.tokenizer, text, "raw" if text.turns[0][0] == "text" else "chat"))
                for n, text in enumerate(written)
            ]
            trace(model, self.tokenizer, laid, seed=SEED).save(folder)
        return Positions.load(folder)

    def warm_ar(self, data: Positions) -> models.Tuned:
        """The AR on the descriptions."""
        pairs = [(i, data.descriptions[i]) for i in data.taught()]
        return self._tune_ar(
            models.ar(self.target, self.start), data, pairs, "ar.pt", self.plan.ar_steps, RATE
        )

    def warm_av(self, data: Positions) -> models.Tuned:
        """The AV on the descriptions."""
        pairs = [(i, data.descriptions[i]) for i in data.taught()]
        return self._tune_av(
            models.av(self.target, self.start), data, pairs, "av.pt", self.plan.av_steps, RATE
        )

    def round(self, number: int, data: Positions, av: models.Tuned, ar: models.Tuned) -> None:
        """One round, in place: sample; the AR on all readings so far (and some descriptions); the AV on the best."""
        count, samples = self.plan.round_positions[number], self.plan.samples[number]
        last = number + 1 == len(self.plan.samples)
        chosen = random.Random(SEED + 100 + number).sample(data.apart() if last else data.taught(), count)
        path = self.folder / f"round{number}.jsonl"
        warmth = self.plan.temperatures[number]
        readings = self._sample(
            data, av, chosen, path, samples=samples, temperature=warmth, seed=SEED + number
        )
        print(f"round {number}: {len(readings)} readings, {sum(r.truncated for r in readings)} cut short")
        if samples > 1:
            proposed = rounds.corrected(readings, data.descriptions)
            best = rounds.best(rounds.scored(ar, self.tokenizer, data.activations, proposed))
            pairs = [(r.position, r.text) for r in best] + self._descriptions(data, len(best) // 2, number)
            if best:  # an AV that closes no reading has nothing to learn from
                keep, steps = f"av-round{number}.pt", self.plan.best_steps[number]
                self._tune_av(av, data, pairs, keep, steps, ROUND_RATE)
        earlier = [r for n in range(number) for r in rounds.read(self.folder / f"round{n}.jsonl")]
        told = self.calibrate(data, av, readings, earlier) if last else [*readings, *earlier]
        whole = [(r.position, r.text) for r in told]
        pairs = whole + self._descriptions(data, int(len(whole) * self.plan.mixed[number]), number)
        self._tune_ar(ar, data, pairs, f"ar-round{number}.pt", self.plan.round_steps[number], ROUND_RATE)

    def calibrate(
        self, data: Positions, av: models.Tuned, latest: list[rounds.Sampled], earlier: list[rounds.Sampled]
    ) -> list[rounds.Sampled]:
        """Teach the AV, in place, to be as sure of its first candidate as it is right, by its latest readings. Returns
        all readings that are in the sentences that were taught, with how sure they are put right: the AR goes by it.
        """
        plain, claims = [], []
        for r in [*latest, *earlier]:
            said = parsed(r.text)
            if said is not None and said.text == r.text and not r.truncated:
                plain.append(r)
                claims.append(said)
        if not plain:  # an AV that says nothing in these sentences is sure of nothing
            return [*latest, *earlier]
        probabilities = rounds.first_candidates(av, self.tokenizer, data.activations, plain)
        right = [c.candidates[0] == data.choices[r.position] for r, c in zip(plain, claims, strict=True)]
        here = {(r.position, r.text) for r in latest}
        new = [n for n, r in enumerate(plain) if (r.position, r.text) in here]
        surely = rounds.calibration([probabilities[n] for n in new], [right[n] for n in new])
        print(surely)
        told = [
            replace(r, text=replace(said, sure=surely.word(p)).text)
            for r, said, p in zip(plain, claims, probabilities, strict=True)
        ]
        taught = [(told[n].position, told[n].text, True) for n in new]
        # Of its own readings the AV learns the certainty alone, and all else from descriptions beside them: trained on
        # all of its own words, it took its mistakes for right and read worse.
        kept = self._descriptions(data, len(taught), 0)
        pairs = taught + [(i, text, False) for i, text in kept if parsed(text) is not None]

        def loss(batch: list[int]) -> torch.Tensor:
            positions, texts, own = zip(*(pairs[n] for n in batch), strict=True)
            spans = [rounds.certainty(text) for text in texts]
            lists = [[] if its else rounds.candidates(text) for text, its in zip(texts, own, strict=True)]
            h = data.activations[list(positions)]
            return tune.av_loss(av.model, self.tokenizer, h, texts, spans, lists, own)

        if taught:
            numbered = [(n, text) for n, (_, text, _) in enumerate(pairs)]
            self._run("av-sure.pt", av, loss, numbered, self.plan.sure_steps, SURE_RATE)
        return told

    def trip(self, stage: str, data: Positions, av: models.Tuned, ar: models.Tuned) -> None:
        """Measure the round trip on held-out activations after a stage: a line in `trips.jsonl`, for the report."""
        path = self.folder / "trips.jsonl"
        known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if any(line["stage"] == stage for line in known):
            return
        held = [i for i, out in enumerate(data.held_out.tolist()) if out]
        chosen = random.Random(SEED + 300).sample(held, min(self.plan.trips, len(held)))
        # Rounds that do not train the AV leave its greedy readings as they were after the warm start.
        still = stage != BEGUN and max(self.plan.samples, default=1) == 1
        texts = self.folder / f"trip-{'warm start' if still else stage}.jsonl".replace(" ", "-")
        readings = self._sample(data, av, chosen, texts, samples=1, temperature=0.0, seed=SEED)
        given = [rounds.Sampled(i, data.descriptions[i], False) for i in chosen]
        v = export.variance(data.activations[data.training()])
        found: dict[str, Any] = {"stage": stage, "positions": len(chosen)}
        for name, those in (("readings", readings), ("descriptions", given)):
            cosines = [r.cos for r in rounds.scored(ar, self.tokenizer, data.activations, those)]
            found[name] = 1 - 2 * (1 - sum(cosines) / len(cosines)) / v
        print(found)
        with path.open("a") as out:
            out.write(json.dumps(found) + "\n")

    def _sample(
        self, data: Positions, av: models.Tuned, chosen: list[int], path: Path, **settings: Any
    ) -> list[rounds.Sampled]:
        """Readings of the chosen positions, from a merged copy of the AV."""
        if len(rounds.read(path)) < len(chosen) * settings["samples"]:
            fresh = models.av(self.target)
            for to, source in zip(fresh.parameters, av.parameters, strict=True):
                to.data.copy_(source.data)
            spec = rounds.av_spec(self.tokenizer, self.folder, data.activations.shape[1])
            rounds.sample(fresh, self.av_tokenizer, spec, data.activations, chosen, path, **settings)
        return rounds.read(path)

    def _descriptions(self, data: Positions, count: int, number: int) -> list[tuple[int, str]]:
        chosen = random.Random(SEED + 200 + number).sample(data.taught(), count)
        return [(i, data.descriptions[i]) for i in chosen]

    def _tune_ar(
        self, ar: models.Tuned, data: Positions, pairs: list[tuple[int, str]], keep: str, steps: int, rate: float
    ) -> models.Tuned:  # fmt: skip
        head = ar.head
        assert head is not None

        def loss(batch: list[int]) -> torch.Tensor:
            h = data.activations[[pairs[n][0] for n in batch]]
            return tune.ar_loss(ar.model, head, self.tokenizer, h, [pairs[n][1] for n in batch])

        self._run(keep, ar, loss, pairs, steps, rate)
        return ar

    def _tune_av(
        self, av: models.Tuned, data: Positions, pairs: list[tuple[int, str]], keep: str, steps: int, rate: float
    ) -> models.Tuned:  # fmt: skip
        def loss(batch: list[int]) -> torch.Tensor:
            h = data.activations[[pairs[n][0] for n in batch]]
            part = [pairs[n][1] for n in batch]
            lists = [rounds.candidates(text) for text in part]
            return tune.av_loss(av.model, self.tokenizer, h, part, lists=lists)

        self._run(keep, av, loss, pairs, steps, rate)
        return av

    def _run(
        self, keep: str, tuned: models.Tuned, loss: Any, pairs: list[tuple[int, str]], steps: int, rate: float
    ) -> None:  # fmt: skip
        torch.manual_seed(SEED)
        lengths = [len(self.tokenizer(text)["input_ids"]) for _, text in pairs]
        tune.run(
            keep.removesuffix(".pt"), tuned.parameters, loss, lengths,
            steps=steps, batch=BATCH, rate=rate, seed=SEED + 1, keep=self.folder / keep,
        )  # fmt: skip


def train(work: Work, out: Path) -> str:
    """Every stage that is not done; writes the adapters to `out` and returns the report."""
    data = work.positions()
    if work.start is not None:
        work.trip(BEGUN, data, models.av(work.target, work.start), models.ar(work.target, work.start))
    taught = data + work.more()
    ar, av = work.warm_ar(taught), work.warm_av(taught)
    work.trip("warm start", data, av, ar)
    for number in range(len(work.plan.samples)):
        work.round(number, taught, av, ar)
        work.trip(f"round {number + 1}", data, av, ar)
    spec = rounds.av_spec(work.tokenizer, out, data.activations.shape[1])
    v = export.variance(data.activations[data.training()])
    export.write(out, av, ar, spec, work.tokenizer, v)
    return measured(work, out)


def measured(work: Work, out: Path) -> str:
    """Report on the adapters in `out`, and put its figures into their card."""
    found = report.measure(work.positions(), work.prompts(), out, work.target, work.folder)
    figures = report.measurements(found, f"`python -m training --report-only`; {machine()}")
    report.write_card(out / CARD, figures)
    said = report.table(found, figures)
    path = work.folder / "trips.jsonl"
    return said + ("\n\n" + report.rise(path.read_text()) if path.exists() else "")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="where stages keep their files")
    parser.add_argument("--out", type=Path, default=ADAPTERS, help="where the adapters go")
    parser.add_argument("--start", type=Path, help="adapters to begin with, instead of none")
    parser.add_argument("--texts", type=int, default=Plan.texts, help="how many texts to train on, about")
    parser.add_argument(
        "--texts-seed",
        type=int,
        default=Plan.texts_seed,
        help="seed of the texts: another one than the adapters of --start were trained on gives texts new to them",
    )
    parser.add_argument("--ar-steps", type=int, default=Plan.ar_steps, help="of the AR on the descriptions")
    parser.add_argument("--av-steps", type=int, default=Plan.av_steps, help="of the AV on the descriptions")
    parser.add_argument("--report-only", action="store_true", help="only report on what is in --out")
    options = parser.parse_args()
    plan = Plan(
        texts=options.texts,
        texts_seed=options.texts_seed,
        ar_steps=options.ar_steps,
        av_steps=options.av_steps,
    )
    work = Work(options.work, plan, options.start)
    print(measured(work, options.out) if options.report_only else train(work, options.out))


if __name__ == "__main__":
    main()
