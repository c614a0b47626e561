"""Where each model of a pair goes, in which precision, and whether it fits at all.

Precisions are tried in the order of `ladder`, arrangements in that of `_Spans.rank`; the first that fits is the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from server.nla.memory.figures import (
    LEAST_SEQUENCES,
    RESERVE,
    SEQUENCES,
    Longest,
    Model,
    Needs,
    engine,
    reconstructing,
    row,
    tracing,
    writing,
)
from server.nla.memory.limits import engine_of, notes, possible
from server.nla.memory.machine import Device
from server.nla.memory.precision import PLAIN, Kind, Precision, Role, ladder

SHARDS = (1, 2, 4, 8)
"""GPUs over which vLLM may cut an AV."""
ORDER: tuple[Role, ...] = ("av", "target", "ar")
"""In which the models take their room: an AV is cut evenly, the others take what is left."""
SPARE = {True: 0.125, False: 0.5}
"""Of what is left, the share that the AV's keys and values may take: on a CPU, which is everybody's, and on a GPU."""


@dataclass(frozen=True)
class Wishes:
    """What the settings say of it: `precision` as NLA_PRECISION, `verbaliser` as the engine that is asked for."""

    precision: str = "bf16"
    verbaliser: str = "auto"
    longest: Longest = field(default_factory=Longest)


@dataclass(frozen=True)
class Part:
    """One model. `held` is its kind as it will be (float32 on a CPU), `share` its weights on each of its devices,
    `beside` what it needs there more than those.
    """

    role: Role
    kind: Kind
    held: str
    engine: str
    share: Mapping[int, int]
    beside: int

    @property
    def weights(self) -> int:
        """All its weights."""
        return sum(self.share.values())

    @property
    def devices(self) -> tuple[int, ...]:
        """Where it is."""
        return tuple(self.share)


@dataclass(frozen=True)
class Plan:
    """A pair's models on a machine. vLLM writes `sequences` readings at once, of which each takes `row` bytes of keys and
    values on each of the AV's devices. `notes` are for people.
    """

    needs: Needs
    devices: Sequence[Device]
    parts: Mapping[Role, Part]
    reserve: Mapping[int, int]
    sequences: int = 0
    row: int = 0
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> Precision:
        """Of each model; bf16 for one that others hold."""
        return {**PLAIN, **{role: part.kind for role, part in self.parts.items()}}

    @property
    def cache(self) -> int:
        """Bytes of the AV's keys and values on each of its devices."""
        return self.sequences * self.row

    def used(self, index: int) -> int:
        """Bytes on a device."""
        there = [part for part in self.parts.values() if index in part.share]
        cache = self.cache * any(part.role == "av" for part in there)
        return self.reserve[index] + cache + sum(part.share[index] + part.beside for part in there)

    @property
    def least(self) -> int:
        """Bytes on all devices, with no more readings at once than it takes."""
        more = (self.sequences - LEAST_SEQUENCES) * self.row * len(self.parts["av"].share) if self.row else 0
        return sum(self.used(device.index) for device in self.devices) - more


def plan(needs: Needs, devices: Sequence[Device], wishes: Wishes) -> Plan | None:
    """The plan, or None where nothing that is wished fits. Raises SettingsError for wishes that cannot be."""
    for precision in ladder(possible(needs, devices, wishes)):
        if (found := placed(needs, devices, wishes, precision)) is not None:
            return replace(found, notes=tuple(notes(found, wishes)))
    return None


def placed(needs: Needs, devices: Sequence[Device], wishes: Wishes, precision: Precision) -> Plan | None:
    """The best arrangement with this precision that fits."""
    engine_name = engine_of(wishes.verbaliser, precision["av"], devices)
    av = needs.models.get("av")
    shards: tuple[int, ...] | None = None
    if av is not None and engine_name == "vllm":
        shards = tuple(n for n in SHARDS if n <= len(devices) and av.shape.tensor_parallel(n))
    for spans in _arrangements(len(devices), frozenset(needs.models), shards):
        if (found := _filled(needs, devices, wishes.longest, precision, spans, engine_name)) is not None:
            return found
    return None


def least(needs: Needs, devices: Sequence[Device], wishes: Wishes, precision: Precision) -> int:
    """Bytes if all of it were on one device."""
    boundless = replace(devices[0], index=0, free=2**62, total=2**62)
    found = placed(needs, [boundless], wishes, precision)
    assert found is not None, "everything fits into 2^62 bytes"
    return found.least


@dataclass(frozen=True)
class _Spans:
    """The devices of each model: neighbours, by index."""

    av: range
    target: range
    ar: range

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
def _arrangements(count: int, roles: frozenset[Role], shards: tuple[int, ...] | None) -> list[_Spans]:
    """On so many devices, the best first. vLLM takes the first GPUs that it sees, `shards` of them; target and AR may be
    on any neighbours, an AV in transformers on any one.
    """
    rows = [range(a, b) for a in range(count) for b in range(a + 1, count + 1)]
    ones = [row for row in rows if len(row) == 1]
    open_to: dict[Role, list[range]] = {
        "av": ones if shards is None else [range(n) for n in shards],
        "target": rows,
        "ar": rows,
    }
    av, target, ar = (open_to[role] if role in roles else [range(0)] for role in ORDER)
    every = [_Spans(a, t, r) for a in av for t in target for r in ar]
    return sorted(every, key=lambda spans: spans.rank)


def _filled(
    needs: Needs,
    devices: Sequence[Device],
    longest: Longest,
    precision: Precision,
    spans: _Spans,
    engine_name: str,
) -> Plan | None:
    """This arrangement, or None where a device is too small for what comes on it."""
    cpu, served = devices[0].cpu, engine_name == "vllm"
    ours = {*spans.target, *spans.ar, *(spans.av if not served else ())}
    theirs = {*spans.av} if served else set()
    reserve = {d.index: 0 if cpu else RESERVE * ((d.index in ours) + (d.index in theirs)) for d in devices}
    room = {device.index: device.free - reserve[device.index] for device in devices}
    parts: dict[Role, Part] = {}
    a_row = 0
    for role, model in needs.models.items():
        span: range = getattr(spans, role)
        held: str = "float32" if cpu and precision[role] == "bf16" else precision[role]
        beside = _beside(role, needs, held, longest, len(span) if served and role == "av" else 0, cpu)
        if role == "av" and served:
            a_row = row(model.shape, held, longest, len(span))
        parts[role] = Part(
            role, precision[role], held, engine_name if role == "av" else "transformers", {}, beside
        )
        for index in span:
            room[index] -= beside + LEAST_SEQUENCES * a_row * (role == "av")
    for role in ORDER:
        if role not in parts:
            continue
        span = getattr(spans, role)
        share = _share(needs.models[role], parts[role].held, span, room, even=role == "av")
        if share is None:
            return None
        parts[role] = replace(parts[role], share=share)
        for index, size in share.items():
            room[index] -= size
    found = Plan(needs, devices, parts, reserve, row=a_row)
    if not a_row:
        return found
    spare = int(min(room[index] for index in spans.av) * SPARE[cpu])
    return replace(found, sequences=min(SEQUENCES, LEAST_SEQUENCES + spare // a_row))


def _beside(role: Role, needs: Needs, held: str, longest: Longest, shards: int, cpu: bool) -> int:
    """What a model needs beside its weights on each of its devices. `shards`: of an AV that vLLM holds, else 0."""
    shape = needs.models[role].shape
    if role == "target":
        return tracing(shape, held, longest, needs.tuned, cpu)
    if role == "ar":
        return reconstructing(shape, held, longest, cpu)
    return engine(shape, held, shards, cpu) if shards else writing(shape, held, longest)


def _share(
    model: Model, held: str, span: range, room: Mapping[int, int], *, even: bool
) -> dict[int, int] | None:
    """Its weights on each device of the span, or None. vLLM cuts evenly; transformers fills one device after the other
    with whole blocks, so on each a block's room may be left.
    """
    weights = model.weights(held)
    if len(span) == 1 or even:
        size = -(-weights // len(span))
        return dict.fromkeys(span, size) if all(room[index] >= size for index in span) else None
    share, left = {}, weights
    for index in span:
        share[index] = min(left, room[index] - model.piece(held))
        left -= share[index]
        if share[index] <= 0:
            return None
    return share if left == 0 else None
