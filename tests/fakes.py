"""A pair that is slow, broken or exact on demand: ordinary implementations of what `server.nla` promises.

One character is one token, so a test can count them. The AV writes the activation's own numbers and the AR
reads them back, so every reading holds its activation exactly, unless the test asks for something else.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.errors import ModelError, NlaError, PromptError
from server.nla.cancellation import check_cancelled
from server.nla.checkpoints.checks.run import Verdict
from server.nla.lens.logit_lens import Lens
from server.nla.lens.word_lens import WordLens
from server.nla.models.target import Trace
from server.nla.patching.patch_each import PatchEffects
from server.nla.patching.patched_forward import Continuation, PatchedOutput
from server.nla.patching.patches import Patch, replacing
from server.nla.prompt import Piece
from server.nla.verbalisers.base import Failed, Finished, Outcome, ReadingRequest, TextDelta
from server.nla.verbalisers.capacity import Capacity
from server.pairs.catalogue import LayerKey

Vector = NDArray[np.float32]
D, LAYERS, TOP = 8, 3, 2
START, END = 1, 2
SPECIAL = {START: "<start>", END: "<end>"}
REPLY = "Yes, it is."


class FakePrompter:
    """Characters are tokens; a chat turn stands between START and END."""

    roles = frozenset({"system", "user", "assistant"})
    stop_ids = frozenset({END})

    def encode(
        self, messages: Sequence[tuple[str, str]] | None, text: str | None, *, continue_final: bool = False
    ) -> list[int]:
        return self.encode_with_roles(messages, text, continue_final=continue_final)[0]

    def encode_with_roles(
        self, messages: Sequence[tuple[str, str]] | None, text: str | None, *, continue_final: bool = False
    ) -> tuple[list[int], list[str]]:
        if messages is None:
            return [ord(c) for c in text or ""], ["text"] * len(text or "")
        ids, roles = [], []
        for n, (role, content) in enumerate(messages):
            if role not in self.roles:
                raise PromptError(f"messages.{n}.role", f"Unknown role {role!r}.")
            ids += [START, *map(ord, content), END]
            roles += ["template", *[role] * len(content), "template"]
        return (ids[:-1], roles[:-1]) if continue_final else ([*ids, START], [*roles, "template"])

    def pieces(
        self, prompt_ids: Sequence[int], generated_ids: Sequence[int], roles: Sequence[str] | None = None
    ) -> list[Piece]:
        told = [*(roles or ["text"] * len(prompt_ids)), *["assistant"] * len(generated_ids)]
        return [
            Piece(
                id=id,
                text=self.token_text(id),
                kind="prompt" if i < len(prompt_ids) else "generated",
                role=role,
                special=id in SPECIAL,
                ends_turn=id == END,
                glyph=None,
            )
            for i, (id, role) in enumerate(zip([*prompt_ids, *generated_ids], told, strict=True))
        ]

    def word(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def token_text(self, id: int) -> str:
        return SPECIAL.get(id) or chr(id)


class FakeTarget:
    """Activations that follow from the ids; greedy replies are REPLY."""

    max_tokens = 4096

    def __init__(self) -> None:
        self.layer = 1
        self.has_tuned_lens = False
        self.untunable: str | None = None
        """Why there is no tuned lens, for a target that fails at it."""
        self.traced: list[list[int]] = []
        self.followed: list[tuple[list[int], list[int]]] = []
        self.patched: list[tuple[list[int], list[Patch]]] = []
        self.replayed: list[tuple[list[int], list[Patch]]] = []
        """Replies that were read again with patches: what `patched` was last, and more tokens."""
        self.patches = 0
        """How many `patch_each` has run."""
        self.most_patches = math.inf
        """After so many it is busy for good."""
        self.generated = 0
        self.hold = threading.Event()
        """Clear it to keep `generate` busy, after `held_after` tokens, or `patched_forward`, until it is set
        or stopped.
        """
        self.begun = threading.Event()
        """Set when it generates something."""
        self.held_after = 0
        self.hold.set()
        self.stopped = threading.Event()
        """Set when a generation was stopped."""

    async def trace(self, ids: Sequence[int], layers: Sequence[int] = ()) -> Trace:
        self.traced.append(list(ids))
        others = {layer: activations(ids, layer) for layer in layers}
        return Trace(activations(ids, self.layer), lens_of(ids), others)

    async def tuned_lens(self, ids: Sequence[int]) -> Lens:
        if self.untunable:
            raise ModelError(self.untunable)
        return lens_of([*ids, 0], len(ids))

    async def word_lens(
        self, ids: Sequence[int], words: Sequence[Sequence[int]], *, tuned: bool = False
    ) -> AsyncIterator[tuple[int, int] | WordLens]:
        """A word's probability grows with layers and positions, faster by the tuned lens and for one that begins with a
        space; its rank is the position.
        """
        self.followed.append((list(ids), [word[0] for word in words]))
        if not self.hold.is_set():
            self.begun.set()
            await asyncio.to_thread(self.hold.wait)
        steps = np.outer(np.arange(1, LAYERS + 1), np.arange(1, len(ids) + 1)) / (LAYERS * len(ids))
        for n in range(LAYERS):
            yield n + 1, LAYERS
        spaced = [0.5 if word[0] == ord(" ") else 0.25 for word in words]
        prob = np.stack([steps * share * (1.5 if tuned else 1.0) for share in spaced]).astype(np.float32)
        rank = np.tile(np.arange(len(ids), dtype=np.int32), (len(words), LAYERS, 1))
        whole = np.stack([row[-1] ** len(word) for row, word in zip(prob, words, strict=True)])
        yield WordLens(prob, rank, whole)

    async def token_curves(
        self, ids: Sequence[int], tokens: Sequence[int], *, tuned: bool = False
    ) -> tuple[Vector, NDArray[np.int32]]:
        """A token's probability grows with the layers, faster by the tuned lens; its rank is its number."""
        self.followed.append((list(ids), list(tokens)))
        prob = np.outer(np.arange(1, LAYERS + 1), np.ones(len(tokens))) / (5 if tuned else 10)
        return prob.astype(np.float32), np.tile(np.asarray(tokens, np.int32), (LAYERS, 1))

    async def patched_forward(
        self, ids: Sequence[int], patches: Sequence[Patch], words: Sequence[int], continuation: Continuation
    ) -> AsyncIterator[list[PatchedOutput]]:
        """KL is how far the activation is moved; from 1 on, the first choice is another letter."""
        before = self.patched[-1][0] if self.patched else ()
        again = (
            not continuation.max_new_tokens and len(ids) > len(before) and list(ids[: len(before)]) == before
        )
        (self.replayed if again else self.patched).append((list(ids), list(patches)))
        await self._work()
        h = activation(ids[: patches[0].position + 1])
        for patch in (None, *patches):
            moved = 0.0 if patch is None else float(np.linalg.norm(patch.applied(h) - h))
            first = 65 + int(moved)
            yield [
                PatchedOutput(
                    kls=np.full(len(ids) - patches[0].position, moved, np.float32),
                    top_ids=np.asarray([first, first + 1], np.int32),
                    top_probs=np.asarray([0.5, 0.25], np.float32),
                    probs=np.full(len(words), 1 / (2 + moved), np.float32),
                    ranks=np.arange(len(words), dtype=np.int32),
                    reply=[first, *map(ord, REPLY), END][: continuation.max_new_tokens],
                )
            ]

    async def patch_each(
        self, ids: Sequence[int], positions: Sequence[int], vectors: Vector, horizon: int
    ) -> AsyncIterator[PatchEffects]:
        """KL is how far the activation is moved, half of that after each token that follows."""
        await self._work()
        for position, v in zip(positions, vectors, strict=True):
            if self.patches == self.most_patches:
                self.hold.clear()
                await self._work()
            self.patches += 1
            h = activation(ids[: position + 1])
            moved = float(np.linalg.norm(replacing(position, v).applied(h) - h))
            kls = np.asarray([[moved / 2**n for n in range(horizon + 1)]], np.float32)
            kls[:, len(ids) - position :] = np.nan
            end = position + 1 == len(ids)
            losses = np.asarray([np.nan if end else moved / 4], np.float32)
            yield PatchEffects(kls, losses, np.asarray([moved < 1]))

    async def _work(self) -> None:
        """Take as long as a test wants."""
        self.begun.set()
        try:
            await released(self.hold)
        except asyncio.CancelledError:
            self.stopped.set()
            raise

    async def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], None],
    ) -> list[int]:
        self.generated += 1
        ids = [ord(c) for c in REPLY[:max_new_tokens]]
        for id in ids[: self.held_after]:
            on_token(id)
        await self._work()
        for id in ids[self.held_after :]:
            on_token(id)
        return ids

    async def close(self) -> None:
        self.hold.set()


class FakeVerbaliser:
    """Writes each activation's numbers, word by word."""

    name = "fake"

    def __init__(self, max_concurrency: int | None = None) -> None:
        self.max_concurrency = max_concurrency
        self.unavailable_reason: str | None = None
        self.counted: dict[str, float] = {}
        self.asked: list[list[Any]] = []
        """The keys of each call, in the order of asking."""
        self.finished: list[Any] = []
        self.aborted = 0
        self.broken: set[int] = set()
        """Positions that fail."""
        self.says: dict[int, str] = {}
        """What it writes of a position instead of numbers."""
        self.dizzy: dict[int, int] = {}
        """Positions over which the engine dies, and how often."""
        self.dies_after: int | None = None
        """Readings after which the engine dies."""
        self.allowed = asyncio.Semaphore(10**9)
        """One is taken for each reading: `limit(n)` makes it slow."""
        self.pace = 0.0
        """Seconds that it takes for each."""

    async def open(self) -> None:
        """It is always there."""

    def counters(self) -> dict[str, float]:
        """What a test says that it has counted."""
        return self.counted

    def limit(self, n: int) -> None:
        """Write n readings, then wait for `allow`."""
        self.allowed = asyncio.Semaphore(n)

    def allow(self, n: int = 10**9) -> None:
        """Write n readings more."""
        for _ in range(min(n, 10_000)):
            self.allowed.release()

    def _text(self, request: ReadingRequest) -> str:
        if isinstance(request.key, tuple) and request.key[0] in self.says:
            return self.says[request.key[0]]
        return text_of(request.activation, request.sample)

    async def stream(
        self, requests: Sequence[ReadingRequest], *, temperature: float, max_new_tokens: int, seed: int
    ) -> AsyncGenerator[Outcome, None]:
        self.asked.append([request.key for request in requests])
        try:
            for request in requests:
                if self.dies_after is not None and len(self.finished) >= self.dies_after:
                    raise NlaError("The engine died.")
                if isinstance(request.key, tuple) and request.key[0] in self.broken:
                    yield Failed(request.key, "The AV choked on this one.")
                    continue
                if isinstance(request.key, tuple) and self.dizzy.get(request.key[0], 0) > 0:
                    self.dizzy[request.key[0]] -= 1
                    yield Failed(request.key, "The engine died over this.", retryable=True)
                    continue
                words = self._text(request).split(" ")
                for i, word in enumerate(words[:max_new_tokens]):
                    if i == len(words) - 1:
                        await self.allowed.acquire()
                        await asyncio.sleep(self.pace)
                    yield TextDelta(request.key, word if i == 0 else " " + word)
                    await asyncio.sleep(0)
                self.finished.append(request.key)
                cut = len(words) > max_new_tokens
                yield Finished(
                    request.key, " ".join(words[:max_new_tokens]), cut, min(len(words), max_new_tokens)
                )
        except GeneratorExit:
            self.aborted += 1
            raise
        except asyncio.CancelledError:
            self.aborted += 1
            raise

    async def close(self) -> None:
        if self.allowed.locked():  # somebody waits
            self.allow()


class FakeReconstructor:
    """Reads the numbers back; whatever holds none becomes the vector of its letters."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.refused: str | None = None
        """A text that holds this makes the whole batch fail."""
        self.begun = threading.Event()
        """Set when it is asked for something."""
        self.hold = threading.Event()
        self.hold.set()
        self.stopped = threading.Event()
        """Set when a call was stopped."""

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    async def reconstruct(self, texts: Sequence[str]) -> Vector:
        self.begun.set()
        try:
            await released(self.hold)
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        self.batches.append(list(texts))
        if self.refused is not None and any(self.refused in text for text in texts):
            raise RuntimeError("the AR choked")
        return np.stack([vector_of(text) for text in texts])

    async def close(self) -> None:
        self.hold.set()


class FakeReconstructorModel:
    """What a `LocalReconstructor` runs on its thread: a text a batch."""

    d_model = D

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.begun = threading.Event()
        """Set when it is asked for something."""
        self.hold = threading.Event()
        """Clear it to keep a batch going until it is set or stopped."""
        self.hold.set()

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def in_batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vector]]:
        for n, text in enumerate(texts):
            self.begun.set()
            while not self.hold.wait(0.01):
                check_cancelled()
            self.batches.append(text)
            yield [n], vector_of(text)[None]


@dataclass
class FakePair:
    """What `LoadedPair` promises."""

    name: str = "fake"
    layer: int = 1
    d_model: int = D
    variance: float | None = 0.5
    prompter: FakePrompter = field(default_factory=FakePrompter)
    target: FakeTarget = field(default_factory=FakeTarget)
    verbaliser: FakeVerbaliser = field(default_factory=FakeVerbaliser)
    reconstructor: FakeReconstructor = field(default_factory=FakeReconstructor)
    versions: dict[str, str] = field(default_factory=lambda: {"fake": "1"})
    fingerprint: str = "f1"
    capacity: Capacity = field(default_factory=lambda: Capacity(None))
    loaded: bool = False

    reads: str = "the fakes' target"

    def __post_init__(self) -> None:
        self.target.layer = self.layer
        self.open()

    def open(self) -> None:
        """Be ready to work, for the first time or again."""
        self.capacity = Capacity(self.verbaliser.max_concurrency)

    async def close(self) -> None:
        await self.target.close()
        await self.reconstructor.close()
        await self.verbaliser.close()
        self.loaded = False


class FakeSource:
    """A catalogue of a few pairs, each of which loads at once, or when it is let, or never."""

    def __init__(
        self, pair: FakePair | None = None, *others: FakePair, error: NlaError | None = None
    ) -> None:
        self.pair = pair or FakePair()
        self.pairs = {found.name: found for found in (self.pair, *others)}
        self.errors = {} if error is None else {self.pair.name: error}
        self.loads = asyncio.Event()
        """Clear it to keep any pair loading."""
        self.loads.set()
        self.loaded: list[str] = []
        """The pairs in the order of their loading."""

    def names(self) -> list[str]:
        return [*self.pairs, "elsewhere"]

    def describe(self) -> list[dict[str, Any]]:
        paths: dict[str, Any] = {"target_path": None, "av_path": None, "ar_path": None}
        paths |= {"fve_variance": None, "licence": None, "gated": False, "gigabytes": None}
        here = [{"name": p.name, **paths, "layer": p.layer, "d_model": D} for p in self.pairs.values()]
        return [*here, {"name": "elsewhere", **paths, "layer": None, "d_model": None}]

    def check(self, name: str, progress: Callable[[str], None]) -> Iterator[Verdict]:
        progress("looking at the fake")
        yield Verdict("files", True, "all there")
        if self.errors:
            yield Verdict("scale", False, self.errors[self.pair.name].detail)
            yield Verdict("layer", None, "not looked at, since scale failed")

    def layer_key(self, name: str) -> LayerKey:
        pair = self.pairs.get(name, self.pair)
        return LayerKey(pair.reads, pair.layer)

    async def load(self, name: str, progress: Callable[[str], None]) -> Any:
        # The command line loads its default pair, whatever the fake is called.
        pair = self.pairs.get(name, self.pair)
        progress(f"loading the {pair.name}")
        await self.loads.wait()
        if pair.name in self.errors:
            raise self.errors[pair.name]
        assert not any(other.loaded for other in self.pairs.values()), "two at once"
        pair.open()
        pair.loaded = True
        self.loaded.append(name)
        return pair


def activation(ids: Sequence[int]) -> Vector:
    """[D], a function of the ids up to here."""
    seed = int.from_bytes(hashlib.sha256(repr(list(ids)).encode()).digest()[:4], "little")
    return np.random.default_rng(seed).normal(size=D).round(3).astype(np.float32)


def activations(ids: Sequence[int], layer: int = 1) -> Vector:
    """[T, D] at a layer."""
    before = [] if layer == 1 else [-layer]
    return np.stack([activation([*before, *ids[: i + 1]]) for i in range(len(ids))])


def text_of(vector: Vector, sample: int = 0) -> str:
    """The reading of an activation."""
    return f"sample {sample} says " + " ".join(f"{x:.3f}" for x in vector.tolist())


NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def vector_of(text: str) -> Vector:
    """The inverse of `text_of`."""
    numbers = [float(word) for word in text.split() if NUMBER.fullmatch(word)][-D:]
    if len(numbers) < D:
        return activation([ord(c) for c in text])
    return np.asarray(numbers, np.float32)


def lens_of(ids: Sequence[int], count: int | None = None) -> Lens:
    """A lens of LAYERS rows: any numbers, but the same for the same ids."""
    count = count or len(ids)
    random = np.random.default_rng(len(ids))
    cells = random.random((3, LAYERS, count), dtype=np.float32)
    return Lens(
        layers=list(range(LAYERS)),
        prob=cells[0],
        rank=random.integers(0, 50, (LAYERS, count)).astype(np.int32),
        entropy=cells[1],
        kl=cells[2],
        top_ids=random.integers(65, 91, (LAYERS, count, TOP)).astype(np.int32),
        top_probs=random.random((LAYERS, count, TOP), dtype=np.float32),
    )


async def released(hold: threading.Event) -> None:
    """Wait until a test, which may be in another thread, lets a model go on."""
    await asyncio.sleep(0)  # a model is never done at once
    while not hold.is_set():  # noqa: ASYNC110 - set by another thread
        await asyncio.sleep(0.01)


@contextmanager
def held(event: threading.Event) -> Iterator[None]:
    """Keep a model busy for the length of a block."""
    event.clear()
    try:
        yield
    finally:
        event.set()
