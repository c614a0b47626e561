"""Which devices each model may be on, the best arrangement first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from server.nla.memory.precision import ROLES, Role


@dataclass(frozen=True)
class Spans:
    """The devices of each model: neighbours, by index."""

    av: range
    target: range
    ar: range

    def of(self, role: Role) -> range:
        """Those of one model."""
        span: range = getattr(self, role)
        return span

    @property
    def rank(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Better ones come first: fewest pieces (each cut costs a hand-over a token), then the AV alone on its GPUs
        (nearly all the time goes into its decoding), then fewest models beside others, then the first GPUs.
        """
        spans = [span for span in (self.av, self.target, self.ar) if span]
        counts = [
            sum(index in span for span in spans) for index in range(max((s.stop for s in spans), default=0))
        ]
        beside_av = sum(counts[index] - 1 for index in self.av)
        beside = sum(count - 1 for count in counts if count)
        edges = tuple(edge for span in spans for edge in (span.start, span.stop))
        return sum(map(len, spans)), beside_av, beside, edges


@lru_cache
def arrangements(count: int, roles: frozenset[Role], shards: tuple[int, ...] | None) -> list[Spans]:
    """On so many devices, the best first. vLLM takes the first GPUs that it sees, `shards` of them; target
    and AR may be on any neighbours, an AV in transformers on any one.
    """
    rows = [range(a, b) for a in range(count) for b in range(a + 1, count + 1)]
    ones = [row for row in rows if len(row) == 1]
    open_to: dict[Role, list[range]] = {
        "av": ones if shards is None else [range(n) for n in shards],
        "target": rows,
        "ar": rows,
    }
    av, target, ar = (open_to[role] if role in roles else [range(0)] for role in ROLES)
    every = [Spans(a, t, r) for a in av for t in target for r in ar]
    return sorted(every, key=lambda spans: spans.rank)
