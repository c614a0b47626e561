"""Where each model of a pair goes, in which precision, and whether it fits at all.

Precisions are tried in the order of `ladder`, arrangements in that of `Spans.rank`; the first that fits is the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from server.nla.memory.arrangements import Spans, arrangements
from server.nla.memory.figures import (
    CPU_SEQUENCES,
    LEAST_SEQUENCES,
    RESERVE,
    SEQUENCES,
    Longest,
    Needs,
    engine,
    reconstructing,
    row,
    tracing,
    writing,
)
from server.nla.memory.limits import engine_of, notes, possible
from server.nla.memory.machine import Device
from server.nla.memory.precision import PLAIN, ROLES, Kind, Precision, Role, ladder

SHARDS = (1, 2, 4, 8)
"""GPUs over which vLLM may cut an AV."""
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
    """A pair's models on a machine. vLLM writes `sequences` readings at once, of which each takes `row` bytes
    of keys and values on each of the AV's devices. `notes` are for people.
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
    served = engine_name == "vllm"

    def demand(role: Role, shards: int) -> _Demand:
        held = "float32" if devices[0].cpu and precision[role] == "bf16" else precision[role]
        name = engine_name if role == "av" else "transformers"
        return _demand(
            needs, Part(role, precision[role], held, name, {}, 0), shards, wishes.longest, devices[0].cpu
        )

    whole = {role: demand(role, 1) for role in needs.models}
    if sum(each.weights + each.kept for each in whole.values()) > sum(device.free for device in devices):
        return None
    av = needs.models.get("av")
    cuts = [n for n in SHARDS if n <= len(devices) and av and av.shape.tensor_parallel(n)] if served else [1]
    cut = {n: {**whole, "av": demand("av", n)} if av else whole for n in cuts}
    for spans in arrangements(len(devices), frozenset(needs.models), tuple(cuts) if served else None):
        found = _filled(needs, devices, cut[len(spans.av)] if av else whole, spans)
        if found is not None:
            return found
    return None


def least(needs: Needs, devices: Sequence[Device], wishes: Wishes, precision: Precision) -> int:
    """Bytes if all of it were on one device."""
    boundless = replace(devices[0], index=0, free=2**62, total=2**62)
    found = placed(needs, [boundless], wishes, precision)
    assert found is not None, "everything fits into 2^62 bytes"
    return found.least


@dataclass(frozen=True)
class _Demand:
    """What a model asks of its devices: `weights` of them together, of which a `piece` is not cut, and `kept` of each.
    `row`: keys and values of one reading, where vLLM holds them.
    """

    part: Part
    weights: int
    piece: int
    kept: int
    row: int = 0


def _demand(needs: Needs, part: Part, shards: int, longest: Longest, cpu: bool) -> _Demand:
    model = needs.models[part.role]
    shape, held, a_row = model.shape, part.held, 0
    if part.role == "target":
        beside = tracing(shape, held, longest, needs.tuned, cpu)
    elif part.role == "ar":
        beside = reconstructing(shape, held, longest, cpu)
    elif part.engine == "vllm":
        beside, a_row = engine(shape, held, shards, cpu), row(shape, held, longest, shards)
    else:
        beside = writing(shape, held, longest)
    # A machine's memory is taken as it is needed, and few texts are the longest: there the weights must fit.
    kept = 0 if cpu else beside + LEAST_SEQUENCES * a_row
    return _Demand(replace(part, beside=beside), model.weights(held), model.piece(held), kept, a_row)


def _filled(
    needs: Needs, devices: Sequence[Device], demands: Mapping[Role, _Demand], spans: Spans
) -> Plan | None:
    """The arrangement, or None where a device is too small for what comes on it."""
    cpu = devices[0].cpu
    a_row = demands["av"].row if "av" in demands else 0
    # The server is one process, vLLM's engine another.
    processes = (
        ({*spans.target, *spans.ar}, {*spans.av}) if a_row else ({*spans.target, *spans.ar, *spans.av},)
    )
    reserve = {d.index: 0 if cpu else RESERVE * sum(d.index in each for each in processes) for d in devices}
    room = {device.index: device.free - reserve[device.index] for device in devices}
    for role, demand in demands.items():
        for index in spans.of(role):
            room[index] -= demand.kept
    parts: dict[Role, Part] = {}
    for role in (role for role in ROLES if role in demands):
        share = _share(demands[role], spans.of(role), room, even=role == "av")
        if share is None:
            return None
        parts[role] = replace(demands[role].part, share=share)
        slack = demands[role].piece if role != "av" and len(share) > 1 else 0
        for index, size in share.items():
            room[index] -= size + slack
    found = Plan(needs, devices, parts, reserve, row=a_row)
    if not a_row:
        return found
    spare = int(min(room[index] for index in spans.av) * SPARE[cpu])
    most = CPU_SEQUENCES if cpu else SEQUENCES
    return replace(found, sequences=min(most, LEAST_SEQUENCES + spare // a_row))


def _share(demand: _Demand, span: range, room: Mapping[int, int], *, even: bool) -> dict[int, int] | None:
    """Its weights on each device of the span, or None. vLLM cuts evenly; transformers fills one device after the other
    with whole blocks, so each may take a block less or more.
    """
    left = demand.weights
    if len(span) == 1 or even:
        size = -(-left // len(span))
        return dict.fromkeys(span, size) if all(room[index] >= size for index in span) else None
    share: dict[int, int] = {}
    for index in span:
        share[index] = min(left, room[index] - demand.piece)
        left -= share[index]
        if share[index] <= 0:
            return None
    return share if left == 0 else None
