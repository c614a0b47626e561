"""The memory plan: the devices and the precision of each model of a pair, and whether it fits at all.

Precisions are tried in `precision_order`, placements in the order of `Placement.rank`; the first that fits is the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from server.nla.memory import estimates
from server.nla.memory.estimates import CPU_SEQUENCES, LEAST_SEQUENCES, RESERVE, SEQUENCES
from server.nla.memory.estimates import MaxLengths as MaxLengths
from server.nla.memory.estimates import Requirements as Requirements
from server.nla.memory.machine import Device
from server.nla.memory.placements import Placement, placements
from server.nla.memory.precision import PLAIN, ROLES, Kind, Precision, Role, precision_order
from server.nla.memory.precision_support import engine_of, notes, supported

SHARDS = (1, 2, 4, 8)
"""Numbers of GPUs over which vLLM may cut an AV."""
CACHE_SHARE = {True: 0.125, False: 0.5}
"""Share of what is left that the AV's keys and values may take: on a CPU, which others use too, and on a GPU."""


@dataclass(frozen=True)
class Constraints:
    """The settings that bound a plan: `precision` as NLA_PRECISION, `verbaliser` as the engine that is asked for."""

    precision: str = "bf16"
    verbaliser: str = "auto"
    max_lengths: MaxLengths = field(default_factory=MaxLengths)


@dataclass(frozen=True)
class Part:
    """One model of a plan. `held` is its kind as it will be (float32 on a CPU). In bytes: all its `weights`, of which a
    `piece` is not cut; `overhead` on each of its devices beside them; `cache_row` of one reading's keys and values on
    each, where vLLM holds them; `share`: the weights on each of its devices.
    """

    role: Role
    kind: Kind
    held: str
    engine: str
    weights: int
    piece: int
    overhead: int
    cache_row: int = 0
    share: Mapping[int, int] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[int, ...]:
        """The indices of its devices."""
        return tuple(self.share)

    def reserved(self, cpu: bool) -> int:
        """Bytes that must be free on each device beside weights. A machine's memory is taken as it is needed, and few
        texts are the longest: there only the weights must fit.
        """
        return 0 if cpu else self.overhead + LEAST_SEQUENCES * self.cache_row


@dataclass(frozen=True)
class Plan:
    """A pair's models on a machine. `reserve`: bytes kept on each device for the processes there; `sequences`: readings
    that vLLM writes at once. `notes` are for people.
    """

    requirements: Requirements
    devices: Sequence[Device]
    parts: Mapping[Role, Part]
    reserve: Mapping[int, int]
    sequences: int = 0
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> Precision:
        """The kind of each model; bf16 for one that others hold."""
        return {**PLAIN, **{role: part.kind for role, part in self.parts.items()}}

    @property
    def cache(self) -> int:
        """Bytes of the AV's keys and values on each of its devices."""
        return self.sequences * self.parts["av"].cache_row if "av" in self.parts else 0

    def used(self, index: int) -> int:
        """Bytes on a device."""
        there = [part for part in self.parts.values() if index in part.share]
        cache = self.cache * any(part.role == "av" for part in there)
        return self.reserve[index] + cache + sum(part.share[index] + part.overhead for part in there)

    @property
    def minimum(self) -> int:
        """Bytes on all devices, with no more readings at once than a plan must have."""
        cached = [part for part in self.parts.values() if part.cache_row]
        more = sum((self.sequences - LEAST_SEQUENCES) * part.cache_row * len(part.share) for part in cached)
        return sum(self.used(device.index) for device in self.devices) - more


def plan(requirements: Requirements, devices: Sequence[Device], constraints: Constraints) -> Plan | None:
    """Return the plan, or None where nothing fits. Raises SettingsError for constraints that cannot be met."""
    for precision in precision_order(supported(requirements, devices, constraints)):
        if (found := place(requirements, devices, constraints, precision)) is not None:
            return replace(found, notes=tuple(notes(found, constraints)))
    return None


def place(
    requirements: Requirements, devices: Sequence[Device], constraints: Constraints, precision: Precision
) -> Plan | None:
    """Return the plan of the best placement that fits with this precision, or None."""
    cpu, av = devices[0].cpu, requirements.models.get("av")
    engine = engine_of(constraints.verbaliser, precision["av"], devices)

    def parts(shards: int) -> dict[Role, Part]:
        return {
            role: _part(requirements, role, precision[role], engine, shards, constraints.max_lengths, cpu)
            for role in ROLES
            if role in requirements.models
        }

    whole = parts(1)
    if sum(part.weights + part.reserved(cpu) for part in whole.values()) > sum(d.free for d in devices):
        return None
    shards = None
    if engine == "vllm":
        shards = tuple(n for n in SHARDS if n <= len(devices) and av and av.shape.tensor_parallel(n))
    cut = {n: parts(n) if n > 1 else whole for n in shards or (1,)}
    for placement in placements(len(devices), frozenset(requirements.models), shards):
        found = _filled(requirements, devices, cut[len(placement.av) or 1], placement)
        if found is not None:
            return found
    return None


def min_bytes(
    requirements: Requirements, devices: Sequence[Device], constraints: Constraints, precision: Precision
) -> int:
    """Return the bytes that all of it would take on one device."""
    boundless = replace(devices[0], index=0, free=2**62, total=2**62)
    found = place(requirements, [boundless], constraints, precision)
    assert found is not None, "everything fits into 2^62 bytes"
    return found.minimum


def _part(
    requirements: Requirements,
    role: Role,
    kind: Kind,
    av_engine: str,
    shards: int,
    lengths: MaxLengths,
    cpu: bool,
) -> Part:
    model, row = requirements.models[role], 0
    shape, held = model.shape, "float32" if cpu and kind == "bf16" else kind
    engine = av_engine if role == "av" else "transformers"
    if role == "target":
        overhead = estimates.target_overhead(shape, held, lengths, requirements.tuned, cpu)
    elif role == "ar":
        overhead = estimates.ar_overhead(shape, held, lengths, cpu)
    elif engine == "vllm":
        overhead = estimates.vllm_overhead(shape, held, shards, cpu)
        row = estimates.cache_row(shape, held, lengths, shards)
    else:
        overhead = estimates.transformers_overhead(shape, held, lengths)
    return Part(role, kind, held, engine, model.weights(held), model.piece(held), overhead, row)


def _filled(
    requirements: Requirements, devices: Sequence[Device], parts: Mapping[Role, Part], placement: Placement
) -> Plan | None:
    """Return the plan of a placement, or None where a device is too small for what comes on it."""
    cpu, row = devices[0].cpu, parts["av"].cache_row if "av" in parts else 0
    # The server is one process, vLLM's engine another.
    server = {*placement.target, *placement.ar, *(() if row else placement.av)}
    engine = {*placement.av} if row else set()
    reserve = {d.index: 0 if cpu else RESERVE * ((d.index in server) + (d.index in engine)) for d in devices}
    room = {device.index: device.free - reserve[device.index] for device in devices}
    for role, part in parts.items():
        for index in placement.of(role):
            room[index] -= part.reserved(cpu)
    shared: dict[Role, Part] = {}
    for role, part in parts.items():
        share = _share(part, placement.of(role), room)
        if share is None:
            return None
        shared[role] = replace(part, share=share)
        slack = part.piece if role != "av" and len(share) > 1 else 0
        for index, size in share.items():
            room[index] -= size + slack
    sequences = 0
    if row:
        spare = int(min(room[index] for index in placement.av) * CACHE_SHARE[cpu])
        sequences = min(CPU_SEQUENCES if cpu else SEQUENCES, LEAST_SEQUENCES + spare // row)
    return Plan(requirements, devices, shared, reserve, sequences)


def _share(part: Part, devices: range, room: Mapping[int, int]) -> dict[int, int] | None:
    """Return a model's weights on each device, or None. vLLM cuts evenly; transformers fills one device after the other
    with whole blocks, so each may take a block less or more.
    """
    left = part.weights
    if len(devices) == 1 or part.role == "av":
        size = -(-left // len(devices))
        return dict.fromkeys(devices, size) if all(room[index] >= size for index in devices) else None
    share: dict[int, int] = {}
    for index in devices:
        share[index] = min(left, room[index] - part.piece)
        left -= share[index]
        if share[index] <= 0:
            return None
    return share if left == 0 else None
