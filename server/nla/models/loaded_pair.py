"""A loaded pair of target, AV and AR, and how it is loaded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from server.nla.checkpoints.pairs import PairEntry
from server.nla.models import parts
from server.nla.models.local import LocalReconstructor, LocalTarget
from server.nla.models.protocols import Reconstructor, Target
from server.nla.prompt import Prompter
from server.nla.verbalisers.base import Verbaliser
from server.nla.verbalisers.capacity import Capacity
from server.nla.verbalisers.factory import Serving, make_verbaliser


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
    prepared = parts.prepare(entry, cache_dir, serving, progress)
    compute_lock = parts.shared_lock()
    progress("loading the target")
    target = parts.load_target(prepared)
    prompter = parts.prompter_of(prepared, target)
    parts.try_target(prepared, prompter, target)
    progress("loading the AR")
    reconstructor = parts.load_reconstructor(prepared)
    parts.try_reconstructor(prepared, reconstructor)
    progress("loading the AV")
    engine = make_verbaliser(serving, prepared.plan, prepared.files.av, compute_lock, progress)
    return LoadedPair(
        name=entry.name,
        layer=prepared.files.av.layer,
        d_model=prepared.files.av.d_model,
        variance=entry.fve_variance,
        prompter=prompter,
        target=LocalTarget(target, compute_lock),
        verbaliser=engine,
        reconstructor=LocalReconstructor(reconstructor, compute_lock),
        versions=parts.made_with(prepared.versions(target), engine.name, prepared.precision),
        fingerprint=prepared.fingerprint(prepared.precision),
        capacity=Capacity(engine.max_concurrency),
    )
