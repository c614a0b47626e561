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
from training.describe import SURE
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


def corrected(readings: Sequence[Sampled], descriptions: Sequence[str]) -> list[Sampled]:
    """The readings with what can be known put right: token, candidates and certainty as in the descriptions (by
    position), so that only the free words are the AV's own. Those that are cut short, or not in the sentences that were
    taught, are left out.
    """
    found = []
    for r in readings:
        said, true = parsed(r.text), parsed(descriptions[r.position])
        if said is not None and true is not None and not r.truncated:
            found.append(replace(r, text=replace(true, recent=said.recent).text))
    return found


def best(readings: Sequence[Sampled]) -> list[Sampled]:
    """The reading of each position that the AR finds best."""
    found: dict[int, Sampled] = {}
    for r in readings:
        if r.position not in found or r.cos > found[r.position].cos:
            found[r.position] = r
    return list(found.values())


@dataclass(frozen=True)
class Surely:
    """Probabilities of the AV from which on it is to say "almost certain" and "likely" of its first candidate."""

    certain: float
    likely: float

    def word(self, probability: float) -> str:
        """Choose the words for a candidate that the AV itself gives this probability."""
        certain, likely, guess = SURE
        return certain if probability >= self.certain else likely if probability >= self.likely else guess


MEANT = (0.9, 0.65)
"""How often the first candidate is right where it is called almost certain, and likely."""


def calibration(probabilities: Sequence[float], right: Sequence[bool]) -> Surely:
    """The lowest bounds above which candidates are right as often as the words are to mean (`MEANT`)."""
    order = sorted(zip(probabilities, right, strict=True), reverse=True)
    bounds, start = [], 0
    for meant in MEANT:
        hits, end, bound = 0, start, 1.1
        for n, (probability, hit) in enumerate(order[start:], 1):
            hits += hit
            if hits >= meant * n:
                end, bound = start + n, probability
        start = end
        bounds.append(bound)
    return Surely(*bounds)


@torch.inference_mode()
def first_candidates(
    tuned: Tuned, tokenizer: Any, activations: Tensor, readings: Sequence[Sampled], batch: int = 64
) -> list[float]:
    """The probability that the AV gives the first candidate that each reading names, all its tokens together."""
    out: list[float] = []
    for start in range(0, len(readings), batch):
        part = readings[start : start + batch]
        h = activations[[r.position for r in part]]
        spans = [first_candidate(r.text) for r in part]
        found = tune.av_log_probabilities(tuned.model, tokenizer, h, [r.text for r in part], spans)
        out += found.exp().tolist()
    return out


def candidates(reading: str) -> list[int]:
    """Starts of the quoted candidates of a reading, after the quote; none where it names none."""
    claims = parsed(reading)
    if claims is None:
        return []
    found, at = [], reading.index(claims.expected) + len("next may be ")
    for name in claims.candidates:
        at = reading.index(name, at)
        if name.startswith('"'):
            found.append(at + 1)
        at += len(name)
    return found


def first_candidate(reading: str) -> tuple[int, int]:
    """Find the first candidate that a reading names. Raises ValueError where it names none."""
    claims = parsed(reading)
    if claims is None:
        raise ValueError("This reading is not in the sentences that were taught.")
    start = reading.index(claims.expected) + len(claims.expected.partition(claims.candidates[0])[0])
    return start, start + len(claims.candidates[0])


def certainty(reading: str) -> tuple[int, int]:
    """Find the words in which a reading says how sure it is. Raises ValueError where it does not."""
    claims = parsed(reading)
    if claims is None:
        raise ValueError("This reading is not in the sentences that were taught.")
    end = reading.index(claims.expected) + len(claims.expected)
    return end - len(claims.sure), end
