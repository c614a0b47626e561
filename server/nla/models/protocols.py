"""Protocols of a target and an AR, wherever they run; the AV's is `verbalisers.base`.

Every call may be cancelled: work that has not begun then never begins, and work that has ends at its next step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from server.nla.lens.logit_lens import Lens
    from server.nla.lens.word_lens import WordLens
    from server.nla.models.target import Trace
    from server.nla.patching.patch_each import PatchEffects
    from server.nla.patching.patched_forward import Continuation, PatchedOutput
    from server.nla.patching.patches import Patch
    from server.nla.types import Floats, Ints


class Target(Protocol):
    """A causal language model, read at layer K (the output of block K, counted from 0)."""

    @property
    def max_tokens(self) -> int:
        """The longest text that it reads, in tokens."""

    @property
    def has_tuned_lens(self) -> bool:
        """True if `tuned_lens` can be asked for."""

    async def trace(self, ids: Sequence[int], layers: Sequence[int] = ()) -> Trace:
        """Activations [T, d] at layer K and at further `layers`, and the logit lens of every layer. Raises ModelError
        where activations are not finite.
        """

    async def tuned_lens(self, ids: Sequence[int]) -> Lens:
        """The lens of `trace` through the target's translators. Raises BadInput where it has none."""

    async def token_curves(
        self, ids: Sequence[int], tokens: Sequence[int], *, tuned: bool = False
    ) -> tuple[Floats, Ints]:
        """(probability, rank), each [layers, tokens]: every layer's lens after `ids` on `tokens` as the next token."""

    def word_lens(
        self, ids: Sequence[int], words: Sequence[Sequence[int]], *, tuned: bool = False
    ) -> AsyncIterator[tuple[int, int] | WordLens]:
        """Every layer's lens after every position of `ids` on each of `words`, given as the ids of their tokens: (steps
        done, all steps) after each, then the lens. Raises BadInput for a tuned lens that there is not.
        """

    def patched_forward(
        self, ids: Sequence[int], patches: Sequence[Patch], words: Sequence[int], continuation: Continuation
    ) -> AsyncIterator[list[PatchedOutput]]:
        """The output after `ids` without a patch and then with each of `patches`, a batch at a time, in that order."""

    def patch_each(
        self, ids: Sequence[int], positions: Sequence[int], vectors: Floats, horizon: int
    ) -> AsyncIterator[PatchEffects]:
        """The effects of replacing the activation at each of `positions` by the same row of `vectors` [n, d], scaled to
        its length, one at a time: a batch at a time, in that order. Raises ModelError where an output is not finite.
        """

    async def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], None],
    ) -> list[int]:
        """New token ids, the end-of-turn token included if one came; temperature 0 is greedy. `on_token` is
        called on the caller's event loop with each as it comes.
        """

    async def close(self) -> None:
        """Free the model, after the work in flight."""


class Reconstructor(Protocol):
    """An AR: text -> vector."""

    async def lengths(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text as the AR reads it, its template included. Does not wait for the model."""

    async def reconstruct(self, texts: Sequence[str]) -> Floats:
        """[n, d] float32, one vector a text. Between two batches others are served. Raises BadInput for a
        text that is too long for the model.
        """

    async def close(self) -> None:
        """Free the model, after the work in flight."""
