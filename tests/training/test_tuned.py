"""The tuned lens's training: its regression against numpy, and the whole recipe, far too short, on the real target."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from server.nla.checkpoints import demo
from server.nla.models.target import TargetModel
from server.settings import Settings
from training import models, texts, tuned
from training.__main__ import Plan, Work
from training.positions import LAYER
from training.ridge import Moments
from training.tuned import Recipe

pytestmark = pytest.mark.training

D, N = 6, 80
SHORT = Recipe(
    layouts=6, validation=1, held_out=1, positions=3, rank=4, ridges=(1e-2,), steps=2, batch=16, candidates=64
)


@pytest.fixture
def residuals() -> torch.Tensor:
    """[2, N, D]: a layer, and a last one that follows from it but for some noise."""
    g = torch.Generator().manual_seed(0)
    first = torch.randn(N, D, generator=g) + 1
    return torch.stack([first, first @ torch.randn(D, D, generator=g) + torch.randn(N, D, generator=g)])


@pytest.fixture
def moments(residuals: torch.Tensor) -> Moments:
    found = Moments.none(2, D)
    for part in residuals.split(30, dim=1):
        found.add(part)
    return found


def test_without_a_ridge_it_is_the_weighted_least_squares_of_numpy(
    residuals: torch.Tensor, moments: Moments
) -> None:
    h, last = (each.double().numpy() for each in residuals)
    root = 1 / np.linalg.norm(last, axis=1, keepdims=True)
    x = np.concatenate([h, np.ones((N, 1))], 1)
    expected = np.linalg.lstsq(x * root, (last - h) * root, rcond=None)[0]
    found = moments.ridge(0, 0.0, rank=D)
    a = (found.factors[1] @ found.factors[0]).numpy()
    np.testing.assert_allclose(a, expected[:D].T, atol=1e-4)
    np.testing.assert_allclose(found.bias.numpy(), expected[D], atol=1e-4)


def test_a_strong_ridge_leaves_the_residual_as_it_is_but_for_the_mean(
    residuals: torch.Tensor, moments: Moments
) -> None:
    found = moments.ridge(0, 1e9, rank=D)
    weight = residuals[1].square().sum(-1).reciprocal()
    mean = ((residuals[1] - residuals[0]) * weight[:, None]).sum(0) / weight.sum()
    assert float((found.factors[1] @ found.factors[0]).abs().max()) < 1e-6
    torch.testing.assert_close(found.bias, mean, atol=1e-4, rtol=1e-4)


def test_fewer_directions_keep_the_largest_part_of_the_change(moments: Moments) -> None:
    whole, low = moments.ridge(0, 0.0, rank=D), moments.ridge(0, 0.0, rank=2)
    own = moments.own[0].double()
    mean = own[:D, D] / own[D, D]
    covariance = own[:D, :D] / own[D, D] - mean.outer(mean)
    a, cut = ((each.factors[1] @ each.factors[0]).double() for each in (whole, low))
    values = np.linalg.eigvalsh((a @ covariance @ a.T).numpy())
    lost = float(((a - cut) @ covariance @ (a - cut).T).trace())
    assert lost == pytest.approx(values[: D - 2].sum(), rel=1e-3)
    torch.testing.assert_close((cut @ mean).float() + low.bias, (a @ mean).float() + whole.bias)


def test_the_table_holds_means_and_says_where_nothing_was_won() -> None:
    plain = np.array([[4.0, 2.0, 3.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], np.float32)
    other = np.array([[1.0, 1.0, 1.0], [2.0, 0.5, 0.5], [0.0, 0.0, 0.0]], np.float32)
    said = tuned.table(plain, other, np.array([4, 8, 9]))
    assert "3 positions of 3 held-out texts; NOT surely lower after blocks [1]" in said
    assert "| 0 | 3.000 [" in said and "| 2.000 [" in said
    assert "lower at every layer" in tuned.table(plain[[0, 2]], other[[0, 2]], np.array([0, 1, 2]))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "target").symlink_to(demo.build(Settings().cache_dir)["target"])
    reply = "Owls are birds of the night. They hunt mice in the dark and sleep in hollow trees by day."
    written = [
        texts.Text(
            "story", "owls", n % 8 == 7, (("user", f"Write about {n} owls."), ("assistant", reply)), False
        )
        for n in range(8)
    ]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(asdict(text)) + "\n" for text in written))
    return Work(tmp_path, Plan(texts=8))


def test_the_recipe_runs_to_its_report_and_gives_the_same_file_again(work: Work, tmp_path: Path) -> None:
    model = models.base(work.target, torch.float32)
    for name in ("one", "two"):  # the second time from the residuals that were kept
        tuned.train(work, model, SHORT).save(tmp_path / name)
    one, two = load_file(tmp_path / "one"), load_file(tmp_path / "two")
    assert len(one) == 3 * 29
    assert all(torch.equal(one[name], two[name]) for name in one)
    said = tuned.report(work, model, tmp_path / "one", SHORT)
    assert "3 positions of 1 held-out texts" in said
    assert len([line for line in said.splitlines() if line.startswith("|")]) == 2 + 29


def test_a_steps_tokens_stand_for_the_whole_vocabulary(work: Work) -> None:
    target = TargetModel(models.base(work.target, torch.float32), LAYER)
    last = target.residuals([10, 20, 30])[-1]
    tokens, weight = tuned._candidates(target, last, SHORT)
    assert len(tokens) == len(tokens.unique()) == SHORT.candidates
    assert float(weight.exp().sum()) == pytest.approx(target.model.config.vocab_size, rel=1e-4)
    assert int(target.logits(last[:1]).argmax()) in tokens.tolist()
