"""A pair that is loaded: target, AV and AR, each with a lane of its own."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from server.errors import CheckpointError
from server.nla.checkpoint import SIDECAR, check_pair, read_ar, read_av
from server.nla.pairs import PairEntry, fetch
from server.nla.prompt import Prompter
from server.nla.reconstructor import HEAD_FILE, Reconstructor, load_head
from server.nla.target import TargetModel
from server.nla.verbalisers.base import Verbaliser
from server.nla.verbalisers.choose import Serving, make

T = TypeVar("T")
Lane = Literal["target", "ar"]
READING_FORMAT = 1
"""Raised when the same weights would give other readings or scores; finished analyses of before keep their address."""


@dataclass
class ResidentPair:
    """The loaded models. Call the target and the AR through `in_lane`; the verbaliser minds its own."""

    name: str
    layer: int
    d_model: int
    variance: float | None
    prompter: Prompter
    target: TargetModel
    verbaliser: Verbaliser
    reconstructor: Reconstructor
    versions: dict[str, str]
    fingerprint: str
    lanes: dict[str, ThreadPoolExecutor]
    turn: AbstractContextManager[Any]

    async def in_lane(self, lane: Lane, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `fn` on that model's single thread, when the processor is free."""

        def call() -> T:
            with self.turn:
                return fn(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self.lanes[lane], call)

    async def close(self) -> None:
        """End the lanes; work in flight is finished first."""
        await self.verbaliser.close()
        for lane in self.lanes.values():
            await asyncio.to_thread(lane.shutdown, cancel_futures=True)


async def load(
    entry: PairEntry,
    *,
    cache_dir: Path,
    serving: Serving | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> ResidentPair:
    """Load a pair, every check of the contract included. Raises CheckpointError or SettingsError with cause and cure."""
    serving = serving or Serving()
    serving.engine()  # what cannot be is said before anything is loaded
    pair = await asyncio.to_thread(_load, entry, cache_dir, serving, progress)
    try:
        await pair.verbaliser.open()
    except BaseException:
        await pair.close()
        raise
    return pair


def _load(
    entry: PairEntry, cache_dir: Path, serving: Serving, progress: Callable[[str], None]
) -> ResidentPair:
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

    places = fetch(entry, cache_dir, progress)
    av_spec, ar_spec = read_av(places["av"]), read_ar(places["ar"])
    shape = AutoConfig.from_pretrained(places["target"]).get_text_config()
    layer = check_pair(av_spec, ar_spec, shape.hidden_size, shape.num_hidden_layers, entry.layer)
    if getattr(shape, "hidden_size_per_layer_input", 0):
        raise CheckpointError(
            f"{entry.name}: this target looks embeddings up at every layer; a row cannot be injected."
        )
    # On one processor the models would only slow each other down by working at the same time.
    turn: AbstractContextManager[Any] = nullcontext() if torch.cuda.is_available() else threading.Lock()
    kind: dict[str, Any] = (
        {"dtype": torch.bfloat16} if torch.cuda.is_available() else {"dtype": torch.float32}
    )
    if torch.cuda.is_available():
        kind |= {"device_map": "cuda:0"}
    else:
        # Plain attention: on a CPU the fused kernel is slower for one new token a row.
        kind |= {"attn_implementation": "eager"}

    progress("loading the target")
    target = TargetModel(AutoModelForCausalLM.from_pretrained(places["target"], **kind), layer)
    lanes = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("target", "av", "ar")}
    progress("loading the AR")
    ar, report = AutoModel.from_pretrained(places["ar"], output_loading_info=True, **kind)
    lost = [key for key in report["missing_keys"] if not key.endswith("norm.weight") or "layers." in key]
    if lost:
        raise CheckpointError(
            f"{places['ar']}: weights are missing ({', '.join(sorted(lost)[:3])}, …): download it again."
        )
    reconstructor = Reconstructor(
        getattr(ar, "language_model", ar),
        load_head(places["ar"], ar_spec.d_model),
        AutoTokenizer.from_pretrained(places["ar"]),
        ar_spec,
    )
    progress("loading the AV")
    engine = make(serving, av_spec, kind, lanes["av"], turn, progress)
    return ResidentPair(
        name=entry.name,
        layer=layer,
        d_model=av_spec.d_model,
        variance=entry.fve_variance,
        prompter=Prompter(AutoTokenizer.from_pretrained(places["target"]), target.stop_ids),
        target=target,
        verbaliser=engine,
        reconstructor=reconstructor,
        versions={name: version(name) for name in ("nla-explorer", "torch", "transformers")}
        | {"verbaliser": engine.name, "device": str(target.model.device), "dtype": str(target.model.dtype)},
        fingerprint=fingerprint(places),
        lanes=lanes,
        turn=turn,
    )


def fingerprint(places: dict[str, Path]) -> str:
    """Twelve hex digits that change with the pair's files: sidecars and configs by content, weights by name and size."""
    digest = hashlib.sha256(str(READING_FORMAT).encode())
    for role in ("target", "av", "ar"):
        for path in sorted(places[role].glob("*")):
            if path.name in (SIDECAR, "config.json", "chat_template.jinja", HEAD_FILE):
                digest.update(path.name.encode() + path.read_bytes())
            elif path.suffix == ".safetensors":
                digest.update(f"{path.name}:{path.stat().st_size}".encode())
    # Folders that are named by their content (the demo, hub snapshots) tell new weights of the same size.
    digest.update("/".join(places[role].name for role in ("target", "av", "ar")).encode())
    return digest.hexdigest()[:12]
