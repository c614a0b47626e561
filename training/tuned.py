"""`python -m training.tuned`: a tuned lens for the demo target, and how much nearer to the output it comes.

texts -> residuals of every layer -> ridge regression on the last residual, of low rank -> KL(output || layer)
by gradient -> the file, in bfloat16 -> a table of the tuned and the plain lens's KL on texts on held-out topics
"""

from __future__ import annotations

import argparse
import platform
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from server.nla.checkpoints import demo
from server.nla.lens import tuned_lens
from server.nla.lens.logit_lens import lens
from server.nla.lens.tuned_lens import Translator, Translators
from server.nla.models.model_parts import text_model
from server.nla.models.target import TargetModel
from server.nla.types import Floats
from training import models
from training.__main__ import SEED, Plan, Work
from training.positions import LAYER, PER_TEXT, Layout, choose, layouts
from training.ridge import Moments
from training.texts import Text

SINK = 20
"""A residual this many times longer than the median of its layer is an artefact of attention: it is left out."""


@dataclass(frozen=True)
class Recipe:
    """Sizes of each stage."""

    layouts: int = 300
    """Texts as the target sees them, for the regression; `validation` more for the choices."""
    validation: int = 40
    held_out: int = 200
    positions: int = 7
    """Number of positions of each held-out text in the report."""
    rank: int = 128
    ridges: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    """Relative to the mean variance of a layer's coordinates; each layer takes the one with the lowest KL."""
    steps: int = 160
    batch: int = 256
    rate: float = 1e-3
    candidates: int = 4096
    """Tokens among which a step compares distributions."""


@torch.inference_mode()
def residuals(model: Any, layout: Layout, positions: list[int] | None = None) -> Tensor:
    """[L, n, d] of one text, at the given positions or all but the first; attention's sinks are left out."""
    every = torch.stack(TargetModel(model, LAYER).residuals(layout.ids))
    norms = every.norm(dim=-1)
    calm = (norms < SINK * norms.median(dim=1, keepdim=True).values).all(0)
    calm[0] = False
    chosen = [p for p in positions or range(len(layout.ids)) if calm[p]]
    return every[:, chosen]


@dataclass(frozen=True)
class Recorded:
    """Statistics of the training texts: moments over all positions, and chosen positions' residuals [L, n, d]."""

    moments: Moments
    training: Tensor
    validation: Tensor

    def save(self, path: Path) -> None:
        kept = {"own": self.moments.own, "rest": self.moments.rest}
        torch.save(kept | {"training": self.training.half(), "validation": self.validation.half()}, path)

    @classmethod
    def load(cls, path: Path) -> Recorded:
        kept = torch.load(path)
        return cls(Moments(kept["own"], kept["rest"]), kept["training"].float(), kept["validation"].float())


def record(model: Any, known: list[Layout], recipe: Recipe) -> Recorded:
    """Trace the training texts in the precision in which they are served."""
    config = model.config
    moments = Moments.none(config.num_hidden_layers, config.hidden_size)
    rng = random.Random(SEED)
    training, validation = [], []
    for n, layout in enumerate(tqdm(known, desc="residuals", unit="text", mininterval=10)):
        chosen = choose(layout, rng)
        if n < recipe.validation:
            validation.append(residuals(model, layout, rng.sample(chosen, 6)))
            continue
        every = residuals(model, layout)
        moments.add(every)
        picked = sorted(rng.sample(range(every.shape[1]), min(36, every.shape[1])))
        training.append(every[:, picked].half())
    return Recorded(moments, torch.cat(training, 1).float(), torch.cat(validation, 1))


def kl(target: TargetModel, residuals: Tensor, translate: Translators | None = None) -> Floats:
    """[L, n]: KL(output || layer) at every position, by the code that serves."""
    count = residuals.shape[1]
    return lens(list(residuals), [0] * count, target.logits, 1, translate).kl


def regress(target: TargetModel, known: Recorded, recipe: Recipe) -> Translators:
    """For each layer the ridge that comes nearest to the output on texts that the regression has not seen."""
    found: list[list[Translator]] = []
    scores = []
    for strength in recipe.ridges:
        rows = len(known.moments.own)
        each = [known.moments.ridge(row, strength, recipe.rank) for row in range(rows)]
        scores.append(kl(target, known.validation, Translators("", "", each)).mean(1)[:-1])
        found.append(each)
    best = np.argmin(scores, 0)
    print("ridge by layer:", [recipe.ridges[n] for n in best])
    return Translators("", "", [found[n][row] for row, n in enumerate(best)])


def refine(target: TargetModel, known: Recorded, start: Translators, recipe: Recipe) -> Translators:
    """Descend KL(output || layer) itself; a layer keeps its start where that is nearer on the validation texts."""
    torch.manual_seed(SEED)
    scale = float(known.training[-1].square().mean().sqrt())
    down = [nn.Parameter(each.factors[0].clone()) for each in start.layers]
    up = [nn.Parameter(each.factors[1].clone()) for each in start.layers]
    bias = [nn.Parameter(each.bias / scale) for each in start.layers]  # of the weights' own size, for Adam
    optimiser = torch.optim.Adam([*down, *up, *bias], lr=recipe.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min(1.0, (n + 1) / 10) * (1 - n / recipe.steps)
    )
    norm, head = text_model(target.model).norm, target.model.lm_head.weight.detach().to(models.precision())
    for batch in tqdm(list(_batches(known.training.shape[1], recipe)), desc="refine", mininterval=10):
        tokens, weight = _candidates(target, known.training[-1, batch], recipe)
        rows = head[tokens]

        def log_p(h: Tensor, rows: Tensor = rows, weight: Tensor = weight) -> Tensor:
            return (F.linear(norm(h).to(rows.dtype), rows).float() + weight).log_softmax(-1)

        final = log_p(known.training[-1, batch]).detach()
        optimiser.zero_grad(set_to_none=True)
        for row in range(len(down)):
            h = known.training[row, batch]
            moved = Translator((down[row], up[row]), bias[row] * scale)(h)
            F.kl_div(log_p(moved), final, log_target=True, reduction="batchmean").backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    refined = [
        Translator((a.detach(), b.detach()), c.detach() * scale)
        for a, b, c in zip(down, up, bias, strict=True)
    ]
    ended = Translators("", "", refined)
    before, after = (kl(target, known.validation, each).mean(1)[:-1] for each in (start, ended))
    print("KL on validation texts:", *(f"{a:.3f}→{b:.3f}" for a, b in zip(before, after, strict=True)))
    kept = [
        end if b < a else begin for a, b, begin, end in zip(before, after, start.layers, refined, strict=True)
    ]
    return Translators("", "", kept)


def _batches(count: int, recipe: Recipe) -> Iterator[Tensor]:
    """Every position once an epoch."""
    order = torch.randperm(count)
    for step in range(recipe.steps):
        start = step * recipe.batch % max(1, count - recipe.batch + 1)
        yield order[start : start + recipe.batch]


@torch.no_grad()
def _candidates(target: TargetModel, last: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Tokens for one step, and the logarithm of how many each stands for: the outputs' likeliest, and random others.

    A softmax over them, so weighted, is near the whole one, for the layer as for the output.
    """
    likely = torch.unique(target.logits(last).topk(min(16, target.model.config.vocab_size)).indices)
    others = torch.ones(target.model.config.vocab_size, dtype=torch.bool)
    others[likely] = False
    rest = others.nonzero()[:, 0]
    drawn = rest[torch.randperm(len(rest))[: max(1, recipe.candidates - len(likely))]]
    weight = torch.zeros(len(likely) + len(drawn))
    weight[len(likely) :] = float(np.log(len(rest) / len(drawn)))
    return torch.cat([likely, drawn]), weight


def _laid(work: Work, written: list[Text]) -> list[tuple[int, Layout]]:
    """Every text as the target sees it, as for the pair's positions: too short ones are left out."""
    return [each for each in layouts(work.tokenizer, written) if len(each[1].ids) > PER_TEXT]


def train(work: Work, model: Any, recipe: Recipe) -> Translators:
    """The stages up to the file."""
    kept = work.folder / "lens.pt"
    written = work.written(models.base(work.target))
    if not kept.exists():
        known = [layout for _, layout in _laid(work, written) if not layout.text.held_out]
        random.Random(SEED).shuffle(known)
        first = known[: recipe.validation]
        apart = {layout.text for layout in first}
        rest = [layout for layout in known if layout.text not in apart]
        record(model, first + rest[: recipe.layouts], recipe).save(kept)
    recorded = Recorded.load(kept)
    target = TargetModel(model, LAYER)
    found = refine(target, recorded, regress(target, recorded, recipe), recipe)
    made = f"training/tuned.py, rank {recipe.rank}: ridge, then {recipe.steps} steps on KL; seed {SEED}"
    return Translators("SmolLM2-135M-Instruct", made, found.to("cpu", torch.bfloat16).layers)


def report(work: Work, model: Any, path: Path, recipe: Recipe) -> str:
    """Both lenses on texts on held-out topics, through the file as it is shipped: a Markdown table."""
    shape = model.config
    translators = tuned_lens.read(path, shape.hidden_size, shape.num_hidden_layers)
    target = TargetModel(model, LAYER)
    moved = translators.to(model.device, model.dtype)
    held = [each for each in _laid(work, work.written(model)) if each[1].text.held_out]
    random.Random(SEED + 1).shuffle(held)
    rng = random.Random(SEED + 2)
    found, owners = [], []
    for owner, layout in tqdm(held[: recipe.held_out], desc="report", unit="text", mininterval=10):
        found.append(residuals(model, layout, sorted(rng.sample(choose(layout, rng), recipe.positions))))
        owners += [owner] * found[-1].shape[1]
    together = torch.cat(found, 1)
    return table(kl(target, together), kl(target, together, moved), np.array(owners))


def table(plain: Floats, other: Floats, owners: np.ndarray[Any, Any]) -> str:
    """[L, n] of each lens and the text of each position -> means with 95 % bootstrap intervals over texts."""
    rng = np.random.default_rng(SEED)
    owners = np.unique(owners, return_inverse=True)[1]
    texts = int(owners.max()) + 1
    draws = rng.integers(0, texts, (2000, texts))
    many = np.bincount(owners, minlength=texts)

    def mean(values: Floats) -> tuple[float, float, float]:
        sums = np.bincount(owners, values, minlength=texts)
        means = sums[draws].sum(1) / many[draws].sum(1)
        low, high = np.percentile(means, [2.5, 97.5])
        return float(values.mean()), float(low), float(high)

    lines = ["| after block | plain | tuned | lower by |", "| --- | --- | --- | --- |"]
    higher = []
    for row in range(len(plain) - 1):
        cells = [mean(each) for each in (plain[row], other[row], plain[row] - other[row])]
        higher += [row] if cells[2][1] <= 0 else []
        said = " | ".join(f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in cells)
        lines.append(f"| {row} | {said} |")
    verdict = "lower at every layer" if not higher else f"NOT surely lower after blocks {higher}"
    device = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    head = (
        f"KL(output ‖ lens) in nats, {plain.shape[1]} positions of {texts} held-out texts; {verdict}. "
        f"{datetime.now(UTC):%Y-%m-%d}, {device}, torch {torch.__version__}, transformers {version('transformers')}."
    )
    return "\n".join([head, "", *lines])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.tuned", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"), help="where stages keep their files")
    parser.add_argument("--out", type=Path, default=demo.TUNED_LENS, help="the file to write")
    parser.add_argument("--report-only", action="store_true", help="only report on what is in --out")
    options = parser.parse_args()
    work, recipe = Work(options.work, Plan()), Recipe()
    model = models.base(work.target, torch.float32)
    if not options.report_only:
        train(work, model, recipe).save(options.out)
    print(report(work, model, options.out, recipe))


if __name__ == "__main__":
    main()
