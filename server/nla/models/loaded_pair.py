"""A loaded pair of target, AV and AR, and how it is loaded."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from server.errors import CheckpointError, ModelError
from server.nla.checkpoints.checks.pair_files import PairFiles
from server.nla.checkpoints.checks.run import require_valid
from server.nla.checkpoints.model_source import hub_commit
from server.nla.checkpoints.pairs import ROLES, PairEntry, fetch
from server.nla.checkpoints.profile import AS_RELEASED
from server.nla.checkpoints.sidecar import SIDECAR
from server.nla.checkpoints.weights import HEAD_FILE, load_model
from server.nla.lens.tuned_lens import read as read_lens
from server.nla.memory.fit_errors import require_fit
from server.nla.memory.precision import PLAIN, Role, format_precision, quantised
from server.nla.memory.requirements import requirements
from server.nla.memory.table import lines
from server.nla.models.devices import devices
from server.nla.models.loading import check_libraries, from_pretrained_kwargs
from server.nla.models.local import LocalReconstructor, LocalTarget
from server.nla.models.protocols import Reconstructor, Target
from server.nla.models.reconstructor import ReconstructorModel, load_head
from server.nla.models.target import TargetModel
from server.nla.prompt import Prompter
from server.nla.verbalisers.base import Verbaliser
from server.nla.verbalisers.capacity import Capacity
from server.nla.verbalisers.factory import Serving, make_verbaliser

_log = logging.getLogger(__name__)
READING_FORMAT = 1
"""Raised when the same weights would give other readings or scores; finished analyses of before keep their address."""


@dataclass
class LoadedPair:
    """A pair that can be asked. Whoever asks the verbaliser for readings takes `capacity` first."""

    name: str
    layer: int
    d_model: int
    variance: float | None
    prompter: Prompter
    target: Target
    verbaliser: Verbaliser
    reconstructor: Reconstructor
    versions: dict[str, str]
    fingerprint: str
    capacity: Capacity

    async def close(self) -> None:
        """Let the models go after the work in flight, whoever still refers to the pair."""
        try:
            await self.verbaliser.close()
        finally:
            await self.target.close()
            await self.reconstructor.close()
            del self.target, self.verbaliser, self.reconstructor
            await asyncio.to_thread(_free)


def _free() -> None:
    """Give back the memory of models that nobody refers to any more: also of what refers to itself in
    circles, at which a frozen collector (see server.cli) would not look.
    """
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


async def load(
    entry: PairEntry,
    *,
    cache_dir: Path,
    serving: Serving | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> LoadedPair:
    """Load a pair, every check of the contract included. Raises CheckpointError or SettingsError with cause
    and cure.
    """
    serving = serving or Serving()
    serving.engine(entry.profile)  # what cannot be is said before anything is loaded
    pair = await asyncio.to_thread(_load, entry, cache_dir, serving, progress)
    try:
        await pair.verbaliser.open()
    except BaseException:
        await pair.close()
        raise
    return pair


def _load(entry: PairEntry, cache_dir: Path, serving: Serving, progress: Callable[[str], None]) -> LoadedPair:
    from transformers import AutoModel, AutoModelForCausalLM

    free = devices()  # a GPU that cannot be used is said before anything is fetched
    here = not serving.elsewhere
    constraints = serving.constraints(entry.profile)
    expected = requirements(entry, av_weights=here)
    if expected is not None:
        check_libraries(require_fit(expected, free, constraints))
    places = fetch(entry, cache_dir, progress, av_weights=here)
    progress("checking the pair")
    files = PairFiles(entry, places, av_weights=here, constraints=constraints)
    require_valid(files)
    layer = files.av.layer
    plan = files.plan()
    check_libraries(plan)
    for line in lines(plan):
        _log.info("%s", line)
    # On one processor the models would only slow each other down by working at the same time.
    compute_lock: AbstractContextManager[Any] = (
        nullcontext() if torch.cuda.is_available() else threading.Lock()
    )

    progress("loading the target")
    translators = None
    if entry.tuned_lens is not None:
        shape = files.text["target"]
        place = Path(entry.tuned_lens).expanduser()
        translators = read_lens(place, shape.hidden_size, shape.num_hidden_layers)
    given = from_pretrained_kwargs(plan, plan.parts["target"], AutoModelForCausalLM, places["target"])
    target = TargetModel(load_model(AutoModelForCausalLM, places["target"], given), layer, translators)
    prompter = Prompter(files.tokenizers["target"], target.stop_ids)
    progress("loading the AR")
    given = from_pretrained_kwargs(plan, plan.parts["ar"], AutoModel, places["ar"])
    ar = load_model(AutoModel, places["ar"], given, normed=False)
    reconstructor = ReconstructorModel(
        getattr(ar, "language_model", ar),
        load_head(places["ar"], files.ar.d_model),
        files.tokenizers["ar"],
        files.ar,
    )
    _try_out(entry, prompter, target, reconstructor)
    progress("loading the AV")
    engine = make_verbaliser(serving, plan, files.av, compute_lock, progress)
    precision = serving.precision_of(plan)
    commits = {f"{role}_commit": found for role in places if (found := hub_commit(places[role]))}
    return LoadedPair(
        name=entry.name,
        layer=layer,
        d_model=files.av.d_model,
        variance=entry.fve_variance,
        prompter=prompter,
        target=LocalTarget(target, compute_lock),
        verbaliser=engine,
        reconstructor=LocalReconstructor(reconstructor, compute_lock),
        versions={name: version(name) for name in ("nla-explorer", "torch", "transformers")}
        | {"verbaliser": engine.name, "device": str(target.model.device), "dtype": str(target.model.dtype)}
        | commits
        | ({"tuned_lens": translators.made} if translators else {})
        | ({"precision": format_precision(precision)} if quantised(precision) else {}),
        fingerprint=fingerprint(places, entry, precision),
        capacity=Capacity(engine.max_concurrency),
    )


def _try_out(
    entry: PairEntry, prompter: Prompter, target: TargetModel, reconstructor: ReconstructorModel
) -> None:
    """A short text through target and AR: weights that overflowed show at once, not as a bad score."""
    try:
        target.trace(prompter.encode(None, "A reading."))
        finite = bool(np.isfinite(reconstructor.reconstruct(["A reading."])).all())
    except ModelError as error:
        raise CheckpointError(f"{entry.name}: {error.detail}", check="finite") from error
    if not finite:
        raise CheckpointError(
            f"{entry.name}: the AR's vector of a short text is not finite: weights that overflowed (float16) or were "
            "damaged. `nla-explorer pairs check` names the tensor.",
            check="finite",
        )


def fingerprint(
    places: dict[str, Path], entry: PairEntry | None = None, precision: Mapping[Role, str] = PLAIN
) -> str:
    """Twelve hex digits that change with the pair's files: sidecars and configs by content, weights by name and size;
    with what the user's file says of how they are read, and with what is quantised of them.
    """
    digest = hashlib.sha256(str(READING_FORMAT).encode())
    if entry is not None and (entry.profile != AS_RELEASED or entry.answers):
        digest.update(repr((entry.profile, entry.answers)).encode())
    if quantised(precision):
        digest.update(format_precision(precision).encode())
    for role in ("target", "av", "ar"):
        for path in sorted(places[role].glob("*")):
            if path.name in (SIDECAR, "config.json", "chat_template.jinja", HEAD_FILE):
                digest.update(path.name.encode() + path.read_bytes())
            elif path.suffix == ".safetensors" and hub_commit(places[role]) is None:
                digest.update(f"{path.name}:{path.stat().st_size}".encode())
    # Folders that are named by their content (the demo, hub snapshots) tell new weights of the same size.
    digest.update(
        "/".join(hub_commit(place) or place.name for place in map(places.__getitem__, ROLES)).encode()
    )
    return digest.hexdigest()[:12]
