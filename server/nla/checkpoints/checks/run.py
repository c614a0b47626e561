"""All checks of a pair in their order.

Loading runs those of AT_LOAD; `nla-explorer pairs check` runs all and prints each verdict. A check returns what it
found, or raises CheckpointError under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.errors import CheckpointError
from server.nla.checkpoints.card import PairCard
from server.nla.checkpoints.cards import DEMO, DEMO_FILE, card_path
from server.nla.checkpoints.checks.numbers import (
    check_dtype,
    check_embedding,
    check_finite,
    check_memory,
    check_shapes,
)
from server.nla.checkpoints.checks.pair_files import PairFiles
from server.nla.checkpoints.checks.tokens import (
    check_bos,
    check_neighbours,
    check_suffix,
    check_template,
    check_tokenizer,
)
from server.nla.checkpoints.pairs import ROLES, PairEntry, Role, fetch
from server.nla.checkpoints.specs import check_pair
from server.nla.memory.plan import Constraints


@dataclass(frozen=True)
class Verdict:
    """`ok` is None for what could not be looked at, since an earlier check failed."""

    check: str
    ok: bool | None
    detail: str


def check(
    entry: PairEntry,
    cache_dir: Path,
    progress: Callable[[str], None],
    *,
    weighed: Sequence[Role] = ROLES,
    constraints: Constraints | None = None,
) -> Iterator[Verdict]:
    """The verdicts of all checks on a pair, one after the other; what is missing of it is fetched first."""
    try:
        places = fetch(entry, cache_dir, progress, weighed=weighed)
    except CheckpointError as error:
        yield Verdict(error.check or "files", False, error.detail)
        yield from (Verdict(name, None, "not looked at") for name in CHECKS if name != error.check)
        return
    yield from run(PairFiles(entry, places, weighed=weighed, constraints=constraints))


def run(pair: PairFiles) -> Iterator[Verdict]:
    """The verdicts on a pair that is on disk. One that another check's failure keeps from being given says so."""
    failed: set[str] = set()
    for name in CHECKS:
        try:
            yield Verdict(name, True, CHECKS[name](pair))
        except CheckpointError as error:
            found = error.check or name
            first = found not in failed
            if first:
                yield Verdict(found, False, error.detail)
            if found != name:
                yield Verdict(name, None, f"not looked at, since {found} failed")
            failed.add(found)


def require_valid(pair: PairFiles) -> None:
    """Raise the first failure of what is checked at every load."""
    for name in AT_LOAD:
        CHECKS[name](pair)


def _files(pair: PairFiles) -> str:
    counts = {role: len(weights.files) for role, weights in pair.weights.items()}
    return "weights in " + ", ".join(f"{n} file{'s' * (n != 1)} ({role})" for role, n in counts.items())


def _sidecar(pair: PairFiles) -> str:
    profile = pair.av.profile
    return f"{pair.av.folder} and {pair.ar.folder}; {profile.injection}, {profile.reading}"


def _layer(pair: PairFiles) -> str:
    config = pair.text["target"]
    layer = check_pair(pair.av, pair.ar, config.hidden_size, config.num_hidden_layers, pair.entry.layer)
    blocks = pair.text["av"].num_hidden_layers
    if blocks != config.num_hidden_layers:
        raise pair.fail(
            "layer",
            f"the AV has {blocks} blocks, the target {config.num_hidden_layers}: an AV is a copy of its target.",
        )
    return f"K = {layer} in every place, of {blocks} blocks; d = {config.hidden_size}"


def _scale(pair: PairFiles) -> str:
    rules = {"replace_norm": "rescaled to norm", "replace_scale": "multiplied by"}
    injection = pair.av.profile.injection
    if injection not in rules:
        return "the activation is added at the residual's own norm"
    return f"the activation is {rules[injection]} {pair.av.injection_scale:g}"


def _card(pair: PairFiles) -> str:
    entry = pair.entry
    if entry.card is not None:
        return "in the file of pairs"
    own = {"av": entry.av, "av_subfolder": entry.av_subfolder, "av_revision": entry.av_revision}
    path = card_path(own) or (DEMO_FILE if entry.name == DEMO else None)
    if path is None:
        return "none beside the AV"
    PairCard.read(path)
    return str(path)


CHECKS: dict[str, Callable[[PairFiles], str]] = {
    "files": _files,
    "sidecar": _sidecar,
    "card": _card,
    "layer": _layer,
    "scale": _scale,
    "tokenizer": check_tokenizer,
    "bos": check_bos,
    "neighbours": check_neighbours,
    "suffix": check_suffix,
    "template": check_template,
    "shapes": check_shapes,
    "embedding": check_embedding,
    "dtype": check_dtype,
    "finite": check_finite,
    "memory": check_memory,
}
AT_LOAD = tuple(name for name in CHECKS if name not in ("finite", "memory"))
"""`finite` reads all weights, which loading does again; there the models are tried on a text instead."""
