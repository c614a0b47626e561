"""The resident pair: loads behind the server's back, and everybody can see how far it is."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from server.errors import BadInput, NlaError, NotReady
from server.settings import Settings

if TYPE_CHECKING:
    from server.nla.checks.run import Verdict
    from server.nla.memory.plan import Plan
    from server.nla.pairs import PairEntry
    from server.nla.resident import ResidentPair
    from server.nla.verbalisers.choose import Serving

_log = logging.getLogger(__name__)


class PairSource(Protocol):
    """Where pairs come from. The real one is `Catalogue`; tests have their own."""

    def names(self) -> list[str]:
        """Every pair that could be loaded."""

    def describe(self) -> list[dict[str, Any]]:
        """name, target_path, av_path, ar_path, layer, d_model of each; a path is None until it is on disk."""

    def check(self, name: str, progress: Callable[[str], None]) -> Iterator[Verdict]:
        """The verdicts of all checks on a pair, one after the other, none of its models loaded."""

    async def load(self, name: str, progress: Callable[[str], None]) -> ResidentPair:
        """Load a pair; raises NlaError when it cannot be."""


class Catalogue:
    """The built-in pairs and the user's own. `server.nla` is imported when first needed: it takes seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _entries(self) -> Mapping[str, PairEntry]:
        pairs = importlib.import_module("server.nla.pairs")
        entries: Mapping[str, PairEntry] = pairs.catalogue(
            self._settings.pairs_file, self._settings.cache_dir
        )
        return entries

    def names(self) -> list[str]:
        return list(self._entries())

    def describe(self) -> list[dict[str, Any]]:
        pairs = importlib.import_module("server.nla.pairs")
        here = self._settings.verbaliser != "vllm-server"
        return [
            pairs.describe(entry, self._settings.cache_dir, av_weights=here)
            for entry in self._entries().values()
        ]

    def check(self, name: str, progress: Callable[[str], None]) -> Iterator[Verdict]:
        entry = self._entry(name)
        checks = importlib.import_module("server.nla.checks.run")
        here = self._settings.verbaliser != "vllm-server"
        verdicts: Iterator[Verdict] = checks.check(
            entry,
            self._settings.cache_dir,
            progress,
            av_weights=here,
            wishes=self._serving().wishes(entry.profile),
        )
        return verdicts

    def plan(self, name: str, gpus: str | None) -> Plan:
        """Where a pair's models would go on this machine, or on other GPUs (`80,80`, in GiB); nothing is fetched."""
        planning = importlib.import_module("server.nla.planning")
        plan: Plan = planning.planned(self._entry(name), self._serving(), gpus)
        return plan

    def serving_template(self, name: str) -> str:
        """The chat template with which `vllm serve` builds the prompt of this pair's AV."""
        choose = importlib.import_module("server.nla.verbalisers.choose")
        template: str = choose.serving_template(self._entry(name), self._settings.cache_dir)
        return template

    def _entry(self, name: str) -> PairEntry:
        entries = self._entries()
        if name not in entries:
            raise BadInput("pair", f"There is no pair named {name!r}. Known are: {', '.join(entries)}.")
        return entries[name]

    async def load(self, name: str, progress: Callable[[str], None]) -> ResidentPair:
        entry = await asyncio.to_thread(self._entry, name)
        progress("importing the model libraries")
        resident = await asyncio.to_thread(importlib.import_module, "server.nla.resident")
        pair: ResidentPair = await resident.load(
            entry, cache_dir=self._settings.cache_dir, serving=self._serving(), progress=progress
        )
        return pair

    def _serving(self) -> Serving:
        choose = importlib.import_module("server.nla.verbalisers.choose")
        asked = self._settings
        longest = choose.Longest(
            asked.max_prompt_tokens + asked.max_reply_tokens, asked.max_reading_tokens, asked.score_batch
        )
        serving: Serving = choose.Serving(
            asked.verbaliser, asked.vllm_servers, asked.vllm_options, asked.precision, longest
        )
        return serving


class Models:
    """The one pair that this server holds: loading, ready or failed."""

    def __init__(self, name: str, source: PairSource) -> None:
        self.name = name
        self.source = source
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.message = "starting"
        """What is being loaded, or why that failed."""
        self.error: NlaError | None = None
        self.av_turn = asyncio.Lock()
        """Whoever asks the AV for readings takes this first; turns are given in the order of asking."""
        self._pair: ResidentPair | None = None
        self._loaded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, told: Callable[[str], None]) -> None:
        """Call this with each message while loading."""
        self._listeners.append(told)

    def start(self) -> None:
        """Begin to load."""
        self._task = asyncio.create_task(self._load(), name="load-models")

    async def settled(self) -> None:
        """Wait until loading has ended, well or badly."""
        await self._loaded.wait()

    async def pair(self) -> ResidentPair:
        """The pair, as soon as it is loaded; raises NotReady if it cannot be."""
        await self._loaded.wait()
        return self.resident()

    def resident(self) -> ResidentPair:
        """The pair if it is loaded by now; raises NotReady otherwise."""
        if self._pair is None:
            what = "is loading" if self.state == "loading" else "could not be loaded"
            raise NotReady(f"The pair {self.name} {what}: {self.message}")
        return self._pair

    @property
    def trouble(self) -> str | None:
        """Why a pair that is loaded cannot be used at the moment: its AV's engine is being started again."""
        return None if self._pair is None else self._pair.verbaliser.trouble

    def figures(self) -> dict[str, float]:
        """What the AV's engine has counted."""
        return {} if self._pair is None else self._pair.verbaliser.figures()

    def _say(self, message: str) -> None:
        if self.state != "loading":
            return  # said in another thread, heard after the end
        self.message = message
        _log.info("%s: %s", self.name, message)
        for told in self._listeners:
            told(message)

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()

        def say(message: str) -> None:  # the loader calls from any thread
            loop.call_soon_threadsafe(self._say, message)

        try:
            self._pair = await self.source.load(self.name, say)
            self.state, self.message = "ready", "ready"
        except NlaError as error:
            self.state, self.message, self.error = "failed", error.detail, error
            _log.error("%s cannot be loaded: %s", self.name, error.detail)
        except Exception as error:
            self.state, self.message = "failed", f"{type(error).__name__}: {error}"
            self.error = NlaError(f"The pair {self.name} could not be loaded: {self.message}")
            _log.exception("%s cannot be loaded", self.name)
        self._loaded.set()

    async def close(self) -> None:
        """Stop loading, or let the models go."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pair is not None:
            await self._pair.close()
