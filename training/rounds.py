"""After the warm start: sample readings, let the AR say which are good, train the AR on all and the AV on the best.

The AR learns which of the AV's words to trust; the AV learns which of its own readings hold the activation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from server.nla.checkpoints.specs import AvSpec
from server.nla.verbalisers.base import Finished, ReadingRequest
from server.nla.verbalisers.transformers import TransformersVerbaliser
from training import lora, tune
from training.claims import parsed
from training.models import Tuned
from training.positions import LAYER

READING_TOKENS = 96


@dataclass(frozen=True)
class Sampled:
    """One reading that the AV wrote of one training position, and the AR's cosine for it."""

    position: int
    text: str
    truncated: bool
    cos: float = 0.0


def av_spec(tokenizer: Any, folder: Path, d_model: int) -> AvSpec:
    """Injection into the AV, in training as later: the sidecar is written from this."""
    prompt = tokenizer(tune.AV_PROMPT.format(injection_char=tune.MARKER), add_special_tokens=False)[
        "input_ids"
    ]
    marker = tokenizer.convert_tokens_to_ids(tune.MARKER)
    slot = prompt.index(marker)
    return AvSpec(
        folder=folder,
        d_model=d_model,
        layer=LAYER,
        injection_scale=tune.INJECTION_NORM,
        template=tune.AV_TEMPLATE,
        marker=tune.MARKER,
        marker_id=marker,
        left_id=prompt[slot - 1],
        right_id=prompt[slot + 1],
    )


def sample(
    tuned: Tuned, tokenizer: Any, spec: AvSpec, activations: Tensor, positions: Sequence[int], path: Path, *,
    samples: int, temperature: float, seed: int, batch: int = 256,
) -> list[Sampled]:  # fmt: skip
    """`samples` readings of each position; finished batches are kept in `path`."""
    done = read(path)
    engine = TransformersVerbaliser(lora.merged(tuned.model), tokenizer, spec)
    keys = [(position, n) for position in positions for n in range(samples)]
    with path.open("a") as out:
        for start in tqdm(range(len(done), len(keys), batch), desc="readings", unit="batch"):
            part = keys[start : start + batch]
            requests = [
                ReadingRequest(key, activations[key[0]].float().numpy(), key[0] * samples + key[1])
                for key in part
            ]
            found: dict[Any, Sampled] = {}
            for outcomes in engine.steps(requests, temperature, READING_TOKENS, seed):
                for outcome in outcomes:
                    if isinstance(outcome, Finished):
                        position = outcome.key[0]
                        found[outcome.key] = Sampled(position, outcome.text, outcome.truncated)
            for key in part:
                done.append(found[key])
                out.write(json.dumps(asdict(found[key])) + "\n")
            out.flush()
    return done


def read(path: Path) -> list[Sampled]:
    """Samples that `sample` has finished."""
    return [Sampled(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


@torch.inference_mode()
def scored(
    tuned: Tuned, tokenizer: Any, activations: Tensor, readings: list[Sampled], batch: int = 64
) -> list[Sampled]:
    """The readings with the AR's cosine to the true activation."""
    assert tuned.head is not None
    out = []
    for start in tqdm(range(0, len(readings), batch), desc="scores", unit="batch"):
        part = readings[start : start + batch]
        vectors = tune.ar_vectors(tuned.model, tuned.head, tokenizer, [r.text for r in part])
        h = activations[[r.position for r in part]].to(vectors.device).float()
        for r, cos in zip(part, F.cosine_similarity(vectors, h, dim=-1).tolist(), strict=True):
            out.append(Sampled(r.position, r.text, r.truncated, cos))
    return out


def winners(readings: list[Sampled], choices: Sequence[str]) -> list[Sampled]:
    """Choose the reading of each position that the AR finds best, among the whole ones in the sentences that were
    taught that name no candidate twice. One whose first candidate is not the target's own (`choices`, by position) is
    taught as "perhaps": so the AV learns to be sure only where it is right.
    """
    best: dict[int, Sampled] = {}
    for r in readings:
        claims = parsed(r.text)
        if claims is None or claims.repeats or r.truncated:
            continue
        if claims.candidates[0] != choices[r.position]:
            claims = replace(claims, hedge="perhaps")
        if r.position not in best or r.cos > best[r.position].cos:
            best[r.position] = replace(r, text=claims.text)
    return list(best.values())
