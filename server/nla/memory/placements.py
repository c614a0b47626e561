"""Placements: the devices that each model of a pair may be on, the best first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from server.nla.memory.precision import ROLES, Role


@dataclass(frozen=True)
class Placement:
    """The devices of each model: neighbours, by index."""

    av: range
    target: range
    ar: range

    def of(self, role: Role) -> range:
        """Return the devices of one model."""
        devices: range = getattr(self, role)
        return devices

    @property
    def rank(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Sort key: fewest pieces (each cut costs a hand-over a token), then the AV alone on its GPUs (nearly all the
        time goes into its decoding), then fewest models on a shared GPU, then the first GPUs.
        """
        ranges = [each for each in (self.av, self.target, self.ar) if each]
        counts = [sum(n in each for each in ranges) for n in range(max((r.stop for r in ranges), default=0))]
        beside_av = sum(counts[index] - 1 for index in self.av)
        edges = tuple(edge for each in ranges for edge in (each.start, each.stop))
        return sum(map(len, ranges)), beside_av, sum(n - 1 for n in counts if n), edges


@lru_cache
def placements(count: int, roles: frozenset[Role], shards: tuple[int, ...] | None) -> list[Placement]:
    """List the placements on `count` devices, the best first. vLLM takes the first GPUs that it sees, one of `shards`
    of them; target and AR may be on any neighbours, an AV in transformers (`shards` None) on any one.
    """
    rows = [range(a, b) for a in range(count) for b in range(a + 1, count + 1)]
    for_av = [row for row in rows if len(row) == 1] if shards is None else [range(n) for n in shards]
    open_to: dict[Role, list[range]] = {"av": for_av, "target": rows, "ar": rows}
    av, target, ar = (open_to[role] if role in roles else [range(0)] for role in ROLES)
    return sorted((Placement(a, t, r) for a in av for t in target for r in ar), key=lambda p: p.rank)
