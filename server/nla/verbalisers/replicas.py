"""The vLLM servers that hold an AV: which of them can be used, and which is the least busy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import torch

from server.errors import CheckpointError, NotReady, SettingsError
from server.nla.verbalisers.prompt import AvPrompt, Pieces
from server.nla.verbalisers.vllm_api import BadAnswer, Models, Tokens, messages, read_as, refusal
from server.nla.verbalisers.vllm_requests import Timeouts

_log = logging.getLogger(__name__)

IN_FLIGHT = 256
"""Requests that are open at a time at each server."""
LOOK = 2.0
"""Seconds between looks at each server's health."""
PATIENCE = 60.0
"""Seconds that a reading waits for a server when none answers."""


class Gone(Exception):
    """A server that was reading has gone, says that it cannot, or has fallen silent."""


@dataclass(eq=False)
class Replica:
    """One address: a server, or a router in front of several."""

    url: str
    model: str = ""
    up: bool = False
    problem: str = ""
    """Why it is not up, as far as that is known."""
    hung: bool = False
    """It fell silent while it was reading: its health alone does not prove that it reads again."""
    open: int = 0
    """Requests that it is busy with."""
    heard: float = 0.0
    """Time of the last part of any reading, by the loop's clock."""
    waits: set[asyncio.Timeout] = field(default_factory=set)
    """One for each open request; it ends when the server has fallen silent."""

    def __str__(self) -> str:
        return f"{self.url} ({self.problem})" if self.problem else self.url

    def hear(self) -> None:
        """Note that it has sent a part of a reading."""
        self.heard = asyncio.get_running_loop().time()


class Replicas:
    """The servers at `urls`, each with a task that looks after it from `open` to `close`."""

    def __init__(
        self,
        urls: Sequence[str],
        prompt: AvPrompt,
        pieces: Pieces,
        timeouts: Timeouts,
        patience: float = PATIENCE,
    ) -> None:
        self.all = [Replica(url.rstrip("/")) for url in urls]
        self.capacity = IN_FLIGHT * len(self.all)
        self._prompt = prompt
        self._pieces = pieces
        self._timeouts = timeouts
        self._patience = patience
        self._changed = asyncio.Condition()
        """Notified when a server has come back, and when one has room."""
        self._watches: list[asyncio.Task[None]] = []
        self.client = httpx.AsyncClient(
            # How long an answer may take is for `Timeouts` to say.
            timeout=httpx.Timeout(10.0, read=None, pool=None),
            limits=httpx.Limits(
                max_connections=self.capacity + 8 * len(self.all), max_keepalive_connections=self.capacity
            ),
        )

    @property
    def unavailable_reason(self) -> str | None:
        """Set while no server can be used."""
        if any(replica.up for replica in self.all):
            return None
        return f"No vLLM server answers at {', '.join(map(str, self.all))}."

    async def open(self) -> None:
        """Look at every server. Raises SettingsError if none can be used, CheckpointError if one has another prompt."""
        try:
            await asyncio.gather(*(self._look(replica) for replica in self.all))
            if self.unavailable_reason:
                folder = self._prompt.spec.folder
                raise SettingsError(
                    f"{self.unavailable_reason} Start one with `vllm serve {folder} --enable-prompt-embeds`."
                )
        except BaseException:
            await self.client.aclose()
            raise
        self._watches = [
            asyncio.create_task(self._watch(replica), name=f"vLLM at {replica.url}") for replica in self.all
        ]

    async def close(self) -> None:
        """Let the servers be."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self.client.aclose()

    @asynccontextmanager
    async def least_busy(self) -> AsyncIterator[Replica]:
        """A place at the server that has the most room, once there is room. Raises NotReady when no server can be used
        for as long as a reading has patience, Gone when the server falls silent within the block.
        """
        replica = await self._pick()
        if not replica.open:
            replica.hear()
        replica.open += 1
        silence = asyncio.timeout(None)
        try:
            async with silence:
                replica.waits.add(silence)
                yield replica
        except TimeoutError:
            if not silence.expired():
                raise
            raise Gone(self._silent) from None
        finally:
            replica.waits.discard(silence)
            replica.open -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _pick(self) -> Replica:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        async with self._changed:
            while True:
                there = [replica for replica in self.all if replica.up]
                free = [replica for replica in there if replica.open < IN_FLIGHT]
                if free:
                    return min(free, key=lambda replica: replica.open)
                if there:
                    await self._changed.wait()
                    deadline = loop.time() + self._patience
                    continue
                try:
                    async with asyncio.timeout_at(deadline):
                        await self._changed.wait()
                except TimeoutError:
                    if self.unavailable_reason:
                        raise NotReady(
                            f"{self.unavailable_reason} What has been read is kept; ask again later."
                        ) from None

    def lose(self, replica: Replica, problem: str) -> None:
        """Ask nothing of a server until the next look finds it well."""
        if problem != replica.problem:
            _log.warning("the vLLM server at %s cannot be used: %s", replica.url, problem)
        replica.up, replica.problem = False, problem

    @property
    def _silent(self) -> str:
        return f"it sent nothing for {self._timeouts.idle:g} s while it had readings to write"

    # Looking after them

    async def _watch(self, replica: Replica) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                self._listen(replica)
                await self._look(replica)
            except CheckpointError as error:
                self.lose(replica, error.detail)
            except Exception as error:  # whatever it is, the next look may find the server well
                _log.exception("looking at the vLLM server at %s failed", replica.url)
                self.lose(replica, f"looking at it failed: {error}")

    def _listen(self, replica: Replica) -> None:
        """Give up on a server that sends nothing of any reading, though it has some."""
        now = asyncio.get_running_loop().time()
        if replica.open and now - replica.heard > self._timeouts.idle:
            replica.hung = True
            self.lose(
                replica, f"it sent nothing for {self._timeouts.idle:g} s while it had readings to write"
            )
            for silence in replica.waits:
                silence.reschedule(now)

    async def _look(self, replica: Replica) -> None:
        """Ask for its health; of one that was away also whether it serves what we need. Raises
        CheckpointError if it makes another prompt.
        """
        try:
            async with asyncio.timeout(self._timeouts.idle):
                (await self.client.get(f"{replica.url}/health", timeout=5.0)).raise_for_status()
                if replica.up:
                    return
                await self._check(replica)
        except (httpx.HTTPError, httpx.InvalidURL, BadAnswer) as error:
            self.lose(replica, str(error) or type(error).__name__)
            return
        except TimeoutError:
            self.lose(replica, f"it did not answer within {self._timeouts.idle:g} s")
            return
        if replica.problem:
            _log.info("the vLLM server at %s is there again", replica.url)
        replica.up, replica.hung, replica.problem = True, False, ""
        async with self._changed:
            self._changed.notify_all()

    async def _check(self, replica: Replica) -> None:
        """The ids that the server's template makes of a request must be those of our prompt, but for the slot."""
        found = (await self.client.get(f"{replica.url}/v1/models")).raise_for_status()
        replica.model = read_as(Models, found.content).data[0].id
        row = torch.zeros(1, self._prompt.spec.d_model)
        body = {"model": replica.model, "messages": messages(self._pieces, row)}
        answer = await self.client.post(f"{replica.url}/tokenize", json=body)
        if answer.status_code == 404:  # a router that does not pass this on
            _log.warning("%s does not say what it makes of a prompt: not checked", replica.url)
        elif answer.status_code == 400:
            raise CheckpointError(f"The vLLM server at {replica.url} refuses prompts: {refusal(answer.text)}")
        else:
            self._compare(replica, read_as(Tokens, answer.raise_for_status().content).tokens)
        if replica.hung:
            one = body | {"max_completion_tokens": 1}
            url = f"{replica.url}/v1/chat/completions"
            (await self.client.post(url, json=one, headers={"X-Vllm-Priority": "0"})).raise_for_status()

    def _compare(self, replica: Replica, ids: list[int]) -> None:
        ours, slot = self._prompt.ids, self._prompt.slot
        if ids[:slot] != ours[:slot] or ids[slot + 1 :] != ours[slot + 1 :]:
            raise CheckpointError(
                f"The vLLM server at {replica.url} makes another prompt of its chat template ({len(ids)} tokens, we "
                f"{len(ours)}): the readings would be worth little. Serve the AV with the template that "
                "`nla-explorer pairs template NAME` prints (--chat-template FILE)."
            )
