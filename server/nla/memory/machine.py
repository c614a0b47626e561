"""Devices, as the plan sees them. No torch: `server.nla.models.devices` reads the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.errors import BadInput
from server.nla.memory.estimates import GIB

FREE_SHARE = 0.98
"""The free share of a GPU that nobody uses: the driver keeps the rest."""


@dataclass(frozen=True)
class Device:
    """A GPU, or the machine's memory where there is none (`cpu`). Bytes; `capability` is CUDA's, where it is known."""

    index: int
    name: str
    total: int
    free: int
    capability: tuple[int, int] | None = None
    cpu: bool = False


def unused_gpus(sizes: Sequence[float]) -> list[Device]:
    """Return GPUs of so many GiB that nobody uses."""
    return [
        Device(n, f"{size:g} GiB", round(size * GIB), round(FREE_SHARE * size * GIB))
        for n, size in enumerate(sizes)
    ]


def parse_sizes(text: str) -> list[float]:
    """Parse `80,80` or `2x80` into the GiB of each GPU. Raises BadInput."""
    found: list[float] = []
    for word in text.split(","):
        count, _, size = word.strip().rpartition("x")
        try:
            found += [float(size)] * int(count or 1)
        except ValueError as error:
            raise BadInput(
                "gpus", f"{word!r} is no size of a GPU: say GiB with commas, such as 80,80 or 2x80."
            ) from error
    if not 1 <= len(found) <= 16 or not all(0 < size < 10_000 for size in found):
        raise BadInput("gpus", "Between 1 and 16 GPUs of more than 0 GiB can be planned for.")
    return found
