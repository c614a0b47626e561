"""The source of pairs for a server. Which there are, the released ones too: server/nla/checkpoints/pairs.py."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from server.errors import BadInput, NotInstalled
from server.settings import Settings

if TYPE_CHECKING:
    from server.nla.checkpoints.checks.run import Verdict
    from server.nla.checkpoints.pairs import PairEntry
    from server.nla.memory.plan import Plan
    from server.nla.models.loaded_pair import LoadedPair
    from server.nla.verbalisers.factory import Serving


@dataclass(frozen=True)
class LayerKey:
    """The target that a pair reads, named by its place, and the layer (None until that is known)."""

    target: str
    layer: int | None


class PairSource(Protocol):
    """A source of pairs. The real one is `Catalogue`; tests have their own."""

    def names(self) -> list[str]:
        """Every pair that could be loaded."""

    def describe(self) -> list[dict[str, Any]]:
        """name, target_path, av_path, ar_path, layer, d_model of each; a path is None until it is on disk."""

    def check(self, name: str, progress: Callable[[str], None]) -> Iterator[Verdict]:
        """The verdicts of all checks on a pair, one after the other, none of its models loaded."""

    def layer_key(self, name: str) -> LayerKey:
        """The target and layer of a pair. Pairs that read one target can share its forward pass."""

    async def load(self, name: str, progress: Callable[[str], None]) -> LoadedPair:
        """Load a pair; raises NlaError when it cannot be."""


class Catalogue:
    """The built-in pairs and the user's own. `server.nla` is imported when first needed: it takes seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _entries(self) -> Mapping[str, PairEntry]:
        pairs = importlib.import_module("server.nla.checkpoints.pairs")
        entries: Mapping[str, PairEntry] = pairs.catalogue(
            self._settings.pairs_file, self._settings.cache_dir
        )
        return entries

    def names(self) -> list[str]:
        return list(self._entries())

    def describe(self) -> list[dict[str, Any]]:
        from server.nla.checkpoints import pairs

        held = self._serving().held()
        return [
            pairs.describe(entry, self._settings.cache_dir, weighed=held)
            for entry in self._entries().values()
        ]

    def check(self, name: str, progress: Callable[[str], None]) -> Iterator[Verdict]:
        from server.nla.checkpoints.checks.run import check

        entry, serving = self._entry(name), self._serving()
        return check(
            entry,
            self._settings.cache_dir,
            progress,
            weighed=serving.held(),
            constraints=serving.constraints(entry.profile),
        )

    def plan(self, name: str, gpus: str | None) -> Plan:
        """Plan a pair's models on this machine, or on other GPUs (`80,80`, in GiB); nothing is fetched."""
        from server.nla.plan_cli import plan_pair

        return plan_pair(self._entry(name), self._serving(), gpus)

    def layer_key(self, name: str) -> LayerKey:
        from server.nla.checkpoints.pairs import layer_there

        entry = self._entry(name)
        place = entry.source("target")
        target = str(place) if place.path is None else str(place.path.resolve())
        return LayerKey(target, layer_there(entry))

    def serving_template(self, name: str) -> str:
        """The chat template with which `vllm serve` builds the prompt of this pair's AV."""
        from server.nla.verbalisers.factory import serving_template

        return serving_template(self._entry(name), self._settings.cache_dir)

    def _entry(self, name: str) -> PairEntry:
        entries = self._entries()
        if name not in entries:
            raise BadInput("pair", f"There is no pair named {name!r}. Known are: {', '.join(entries)}.")
        return entries[name]

    async def load(self, name: str, progress: Callable[[str], None]) -> LoadedPair:
        entry = await asyncio.to_thread(self._entry, name)
        progress("importing the model libraries")
        if self._settings.models == "ray":
            return await self._load_in_cluster(entry, progress)
        resident = await asyncio.to_thread(importlib.import_module, "server.nla.models.loaded_pair")
        pair: LoadedPair = await resident.load(
            entry, cache_dir=self._settings.cache_dir, serving=self._serving(), progress=progress
        )
        return pair

    async def _load_in_cluster(self, entry: PairEntry, progress: Callable[[str], None]) -> LoadedPair:
        """A pair whose models stand on a Ray cluster. Raises NotInstalled without the package."""
        from server.nla.cluster.bounds import ClusterSettings, parse_bounds

        asked = self._settings
        cluster = ClusterSettings(
            asked.ray_address, parse_bounds(asked.ray_replicas), asked.ray_cpus, asked.batch_window
        )
        if importlib.util.find_spec("ray") is None:
            raise NotInstalled("Ray is not installed here: `uv sync --extra ray`, or --models local.")
        loading = await asyncio.to_thread(importlib.import_module, "server.nla.cluster.loading")
        pair: LoadedPair = await loading.load(
            entry,
            cache_dir=asked.cache_dir,
            serving=self._serving(),
            cluster=cluster,
            progress=progress,
        )
        return pair

    def _serving(self) -> Serving:
        from server.nla.memory.estimates import MaxLengths
        from server.nla.verbalisers.factory import Serving
        from server.nla.verbalisers.vllm_requests import Timeouts

        asked = self._settings
        lengths = MaxLengths(
            asked.max_prompt_tokens + asked.max_reply_tokens, asked.max_reading_tokens, asked.score_batch
        )
        timeouts = Timeouts(asked.vllm_reading_timeout, asked.vllm_idle_timeout)
        return Serving(
            asked.verbaliser, asked.vllm_servers, asked.vllm_options, asked.precision, lengths, timeouts
        )
