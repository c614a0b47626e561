"""The pairs of a server, one resident at a time: each is loaded in the background, with its progress in sight."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Literal

from server.errors import NlaError, NotReady, SettingsError
from server.pairs.catalogue import LayerKey, PairSource
from server.pairs.pair_queue import PairQueue

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

_log = logging.getLogger(__name__)


class ModelPool:
    """The pairs of this server, one of them resident at a time: `name`, which is loading, ready or failed.

    `names` may be asked for; the server begins with the first. An analysis holds its pair while it is at
    work. Turns are given in the order of asking: who wants another pair than the resident one waits until
    that is let go, and then all who wait for the same go on together. Once somebody waits for another pair
    nobody new begins on the resident one, so no pair keeps another out for ever.
    """

    def __init__(self, name: str, source: PairSource, also: Sequence[str] = ()) -> None:
        self.names = tuple(dict.fromkeys([name, *also]))
        self.name = name
        self.source = source
        self.state: Literal["loading", "ready", "failed"] = "loading"
        self.message = "starting"
        """The part that is being loaded, or the reason why that failed."""
        self.error: NlaError | None = None
        """Why the pair to begin with could not be loaded."""
        self._layer_keys: dict[str, LayerKey] = {}
        self._pair: LoadedPair | None = None
        self._last = name  # that could be loaded
        self._turns = PairQueue(self._turn)
        self._loaded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    async def layer_key(self, name: str) -> LayerKey:
        """The target and layer of a pair. Raises BadInput for an unknown one."""
        found = self._layer_keys.get(name)
        if found is None or found.layer is None:
            self._layer_keys[name] = found = await asyncio.to_thread(self.source.layer_key, name)
        return found

    async def siblings(self, name: str) -> list[str]:
        """The further pairs here that read the same target."""
        target = (await self.layer_key(name)).target
        return [
            other for other in self.names if other != name and (await self.layer_key(other)).target == target
        ]

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this at each new `message` while loading."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin to load the first pair."""
        self._task = asyncio.create_task(self._begin(), name="load-models")

    async def settled(self) -> None:
        """Wait until the loading of the first pair has ended, well or badly."""
        await self._loaded.wait()

    async def pair(self) -> LoadedPair:
        """The first pair, as soon as it is loaded; raises NotReady if it cannot be."""
        await self._loaded.wait()
        return self.resident()

    def resident(self, name: str | None = None) -> LoadedPair:
        """The pair that is resident, or the named one if it is; raises NotReady otherwise."""
        if self._pair is None or self.state != "ready":
            what = "could not be loaded" if self.state == "failed" else "is loading"
            raise NotReady(f"The pair {self.name} {what}: {self.message}")
        if name not in (None, self.name):
            raise NotReady(
                f"The pair {name} is not resident, {self.name} is. Ask for an analysis with {name}: it is "
                f"loaded for that."
            )
        if self._turns.holders == 0 and (wanted := self._next()) is not None:
            raise NotReady(f"The pair {self.name} is making room for {wanted}. Try again in a while.")
        return self._pair

    def on_gpu(self, name: str | None = None) -> bool:
        """True if the pair is resident and its target runs on a GPU."""
        if self._pair is None or self.state != "ready" or name not in (None, self.name):
            return False
        return self._pair.versions.get("device", "").startswith("cuda")

    def is_resident(self, name: str) -> bool:
        """True if a pair is resident; if not, it is to be waited for. Raises NotReady if that has just failed."""
        if self.name == name and self.state == "failed":
            self.resident()
        return (self.name, self.state) == (name, "ready") and (
            self._turns.holders > 0 or self._next() is None
        )

    @contextmanager
    def borrow(self, name: str | None = None) -> Iterator[LoadedPair]:
        """The resident pair for a single call, which waits for nobody. Raises as `resident` does."""
        pair = self.resident(name)
        self._turns.callers += 1
        try:
            yield pair
        finally:
            self._turns.callers -= 1
            self._turn()

    @asynccontextmanager
    async def acquire(self, name: str) -> AsyncIterator[LoadedPair]:
        """The pair, resident to the end of the block. Waits for its turn and until it is loaded; raises NotReady if it
        cannot be.
        """
        if self.is_resident(name) and self._next() is None:
            self._turns.holders += 1
        else:
            await self._turns.wait(name)
        assert self._pair is not None, "it stays while somebody holds it"
        try:
            yield self._pair
        finally:
            self._turns.leave()

    def wait_status(self, name: str) -> tuple[str, str | None]:
        """The progress of somebody who asks for this pair now: its stage, and its message."""
        if self.name != name:
            return "waiting", f"The pair {name} is loaded when the work with {self.name} is done."
        if self.state == "loading":
            return "loading", self.message
        other = self._next()
        words = f"Another pair is asked for, {other}; after that {name} is loaded again."
        return ("queued", None) if other is None else ("waiting", words)

    def _next(self) -> str | None:
        """The pair, another than the resident one, that is waited for."""
        return next((name for name in self._turns.waited_for() if name != self.name), None)

    def _turn(self) -> None:
        """Let in who may go on; once nobody uses the resident pair, change it for the one that is waited for."""
        if self.state == "loading":
            return
        if self._pair is not None and next(self._turns.waited_for(), None) == self.name:
            self._turns.let_in(self.name)
        wanted = next(self._turns.waited_for(), None)
        if wanted is None and self.state == "failed" and self._last != self.name:
            wanted = self._last  # nobody waits: back to what could be loaded
        if wanted is not None and self._turns.idle:
            self.name, self.state, self.message = wanted, "loading", "making room"
            self._task = asyncio.create_task(self._change(), name="load-models")

    @property
    def unavailable_reason(self) -> str | None:
        """The reason why a loaded pair cannot be used at the moment: its AV's engine is being started again."""
        return None if self._pair is None else self._pair.verbaliser.unavailable_reason

    def counters(self) -> dict[str, float]:
        """The counters of the AV's engine."""
        return {} if self._pair is None else self._pair.verbaliser.counters()

    def _say(self, message: str) -> None:
        if self.state != "loading":
            return  # said in another thread, heard after the end
        self.message = message
        _log.info("%s: %s", self.name, message)
        for listener in self._listeners:
            listener()

    async def _begin(self) -> None:
        self.error = await self._load()
        self._loaded.set()

    async def _change(self) -> None:
        self._say(self.message)
        if self._pair is not None:
            self._closing = asyncio.create_task(self._pair.close(), name="close-models")
            self._pair = None
            try:
                await asyncio.shield(self._closing)
            except Exception:
                _log.exception("the pair of before did not close in order")
        await self._load()

    async def _load(self) -> NlaError | None:
        """Load the pair that is named; let in who waits for it, or tell them why not."""
        loop = asyncio.get_running_loop()

        def say(message: str) -> None:  # the loader calls from any thread
            loop.call_soon_threadsafe(self._say, message)

        failure: NlaError | None = None
        try:
            if not self._loaded.is_set() and len(self.names) > 1:
                await self._check_names()
            self._pair = await self.source.load(self.name, say)
            self.state, self.message, self._last = "ready", "ready", self.name
            self._turns.let_in(self.name)
        except NlaError as error:
            failure, said = error, error.detail
            _log.error("%s cannot be loaded: %s", self.name, error.detail)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            failure = NlaError(f"The pair {self.name} could not be loaded: {said}")
            _log.exception("%s cannot be loaded", self.name)
        if failure is not None:
            self.state, self.message = "failed", said
            refusal = NotReady(f"The pair {self.name} could not be loaded: {said}")
            self._turns.turn_away(self.name, refusal)
        self._turn()
        return failure

    async def _check_names(self) -> None:
        known = await asyncio.to_thread(self.source.names)
        if unknown := [name for name in self.names if name not in known]:
            raise SettingsError(
                f"NLA_PAIR and NLA_EXTRA_PAIRS name {', '.join(unknown)}; known are {', '.join(known)} "
                "(your own stand in the file of NLA_PAIRS_FILE)."
            )

    async def close(self) -> None:
        """Stop loading, or let the models go."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)
        if self._pair is not None:
            await self._pair.close()
