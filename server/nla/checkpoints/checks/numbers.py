"""The numbers in a pair's weight files: their shapes and kinds, whether they are sound, whether there is room
for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch

from server.errors import CheckpointError
from server.nla.checkpoints.checks.pair_files import PairFiles
from server.nla.checkpoints.pairs import Role
from server.nla.checkpoints.weights import shapes
from server.nla.memory.estimates import GIB
from server.nla.memory.table import short
from server.nla.models.reconstructor import load_head
from server.nla.verbalisers.prompt import prompt_ids

EMBEDDING_RATIO = 3.0
"""A fine-tuned embedding keeps its length within this factor; one that was scaled by the root of d does not."""
HALF_MAX = torch.finfo(torch.float16).max
"""65504: where float16 ends."""


def check_embedding(pair: PairFiles) -> str:
    """AV and AR embed tokens as the target does: a table that was exported with a scale folded in shows by
    its norms.
    """
    norms = embedding_norms(pair)
    require_like_embeddings(pair.entry.name, norms)
    return ", ".join(f"{role} {norm:.3g}" for role, norm in norms.items()) + " (median norm of a row)"


def embedding_norms(pair: PairFiles) -> dict[Role, float]:
    """The median norm of the embeddings of the AV's prompt, in each model whose weights are here."""
    ids = sorted(set(prompt_ids(pair.tokenizers["av"], pair.av)) - {pair.av.marker_id})
    norms = {}
    for role, weights in pair.weights.items():
        name = weights.text().get("embed_tokens.weight")
        if name is None:
            raise pair.fail("shapes", f"{pair.places[role]} has no embedding table.")
        norms[role] = float(weights.rows(name, ids).norm(dim=-1).median())
    return norms


def require_like_embeddings(pair: str, norms: Mapping[Role, float]) -> None:
    """Raise CheckpointError where embeddings are much longer or shorter than the target's, if those are known."""
    for role, norm in norms.items():
        ratio = norm / max(norms.get("target", norm), 1e-30)
        if not 1 / EMBEDDING_RATIO <= ratio <= EMBEDDING_RATIO:
            raise CheckpointError(
                f"{pair}: the {role.upper()}'s embeddings are {ratio:.3g} times as long as the target's: they were "
                "stored scaled or unscaled (Gemma multiplies by the root of d when it runs, not in its files).",
                check="embedding",
            )


def check_shapes(pair: PairFiles) -> str:
    """Every tensor that the configuration demands is in the files, in its shape."""
    for role, weights in pair.weights.items():
        config = pair.configs[role]
        if getattr(pair.text[role], "hidden_size_per_layer_input", 0):
            raise pair.fail(
                "shapes", "this target looks embeddings up at every layer; a row cannot be injected."
            )
        wanted = shapes(config, head=role != "ar")
        there = {name: weights.entries[full].shape for name, full in weights.text().items()}
        if role == "ar":
            wanted.pop("norm.weight", None)
        wrong = [name for name, shape in wanted.items() if there.get(name) != shape]
        if wrong:
            raise pair.fail(
                "shapes",
                f"{pair.places[role]}: {len(wrong)} tensors are missing or of another shape than config.json says, "
                f"{wrong[0]} for one: {there.get(wrong[0])} for {wanted[wrong[0]]}.",
            )
    return f"{sum(len(w.entries) for w in pair.weights.values())} tensors as their configurations say"


def check_dtype(pair: PairFiles) -> str:
    """float16 is refused for a family whose values exceed its range."""
    weights = pair.weights
    kinds = {
        role: Counter(entry.kind for entry in held.entries.values()).most_common(1)[0][0]
        for role, held in weights.items()
    }
    for role, kind in kinds.items():
        family = str(pair.text[role].model_type)
        if kind == "F16" and family.startswith("gemma"):
            raise CheckpointError(
                f"{weights[role].folder}: the weights are stored in float16, which ends at {HALF_MAX:g}, "
                f"and {family}'s "
                "values go beyond that: whoever made them lost what overflowed. Get them in bfloat16 or float32.",
                check="dtype",
            )
    return ", ".join(f"{role} {kind}" for role, kind in kinds.items())


def check_finite(pair: PairFiles) -> str:
    """Every number of every file is finite, and none stands at float16's end; read a run of rows at a time."""
    load_head(pair.places["ar"], pair.ar.d_model)
    for held in pair.weights.values():
        for name, entry in held.entries.items():
            for part in held.parts(name):
                if not part.is_floating_point():
                    continue
                if not bool(torch.isfinite(part).all()):
                    raise CheckpointError(
                        f"{entry.file}: {name} holds values that are not finite: it overflowed or is damaged.",
                        check="finite",
                    )
                if entry.kind == "F16" and bool((part.abs() == HALF_MAX).any()):
                    raise CheckpointError(
                        f"{entry.file}: {name} holds {HALF_MAX:g}, where float16 ends: values were clipped.",
                        check="finite",
                    )
    return f"{sum(held.count for held in pair.weights.values()):,} numbers"


def check_memory(pair: PairFiles) -> str:
    """The plan by which it would be loaded fits into what is free at this moment."""
    plan = pair.plan()
    free = sum(device.free for device in plan.devices)
    return f"{short(plan)}; {free / GIB:.1f} GiB are free"
