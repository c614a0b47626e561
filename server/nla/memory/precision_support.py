"""Support of precisions: the kinds that the engine, the GPU and the family of a model allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from server.errors import SettingsError
from server.nla.memory.estimates import Requirements
from server.nla.memory.machine import Device
from server.nla.memory.precision import ENGINE_OF, Kind, Role, format_precision, parse_precision, quantised

if TYPE_CHECKING:
    from server.nla.memory.plan import Constraints, Plan

FP8_CAPABILITY = (7, 5)
"""Older GPUs cannot hold FP8 in vLLM at all."""
FP8_ARITHMETIC = (8, 9)
"""Older GPUs hold weights in FP8 and compute in bfloat16 (vLLM's Marlin kernel)."""


def engine_of(verbaliser: str, kind: Kind, devices: Sequence[Device]) -> str:
    """Return the engine of an AV of this kind: `auto` is vLLM on a GPU for the kinds that vLLM has, and transformers
    otherwise.
    """
    return _engines(verbaliser, devices).get(kind, "transformers")


def supported(
    requirements: Requirements,
    devices: Sequence[Device],
    constraints: Constraints,
    precision: str | None = None,
) -> dict[Role, tuple[Kind, ...]]:
    """Return the kinds that each model may be held in here, by the constraints or by another `precision`. Raises
    SettingsError where none of those that were asked for is supported.
    """
    found: dict[Role, tuple[Kind, ...]] = {}
    for role, kinds in parse_precision(constraints.precision if precision is None else precision).items():
        against = {
            kind: _against(role, kind, requirements, devices, constraints.verbaliser) for kind in kinds
        }
        found[role] = tuple(kind for kind in kinds if not against[kind])
        if not found[role]:
            raise SettingsError(f"NLA_PRECISION: {role}={kinds[0]} is not possible: {against[kinds[0]]}.")
    return found


def _against(
    role: Role, kind: Kind, requirements: Requirements, devices: Sequence[Device], verbaliser: str
) -> str:
    """Return why a model cannot be held so, or nothing."""
    if kind == "bf16":
        return ""
    if role not in requirements.models:
        return "others hold it, in the kind that they were started with"
    if role == "av" and kind not in (engines := _engines(verbaliser, devices)):
        return f"the engine {verbaliser} takes {', '.join(engines)} here"
    if kind == "fp8" and devices[0].cpu:
        return "vLLM has FP8 on GPUs alone"
    if kind == "fp8" and (old := _older(devices, FP8_CAPABILITY)):
        return f"{old} is older than CUDA capability 7.5, which vLLM's FP8 wants"
    if kind == "8bit" and requirements.models[role].shape.family.startswith("gemma"):
        return "bitsandbytes computes 8 bits in float16, which Gemma's values exceed: take 4bit, or fp8 for the AV"
    return ""


def _engines(verbaliser: str, devices: Sequence[Device]) -> dict[Kind, str]:
    return dict(ENGINE_OF["transformers" if verbaliser == "auto" and devices[0].cpu else verbaliser])


def _older(devices: Sequence[Device], capability: tuple[int, int]) -> str:
    return next((d.name for d in devices if d.capability is not None and d.capability < capability), "")


def notes(plan: Plan, constraints: Constraints) -> Iterator[str]:
    """Yield what a person should know of a plan beside its figures."""
    if not plan.requirements.exact:
        yield "Estimated from the catalogue; the files, when they are here, are counted again."
    changed = quantised(plan.precision)
    if changed and "auto" in constraints.precision:
        yield f"Chosen to fit, since NLA_PRECISION is {constraints.precision}: {format_precision(plan.precision)}."
    if changed:
        yield "Readings and scores are of the quantised models; every page says so."
    if any(d.cpu and plan.used(d.index) > d.free for d in plan.devices):
        yield "For the longest texts that the settings allow there is too little; shorter ones will do."
    if (av := plan.parts.get("av")) is None:
        return
    here = [plan.devices[index] for index in av.devices]
    if av.kind == "fp8" and (old := _older(here, FP8_ARITHMETIC)):
        yield f"{old} has no FP8 arithmetic: the AV's weights are kept in FP8, but computed with in bfloat16."
    if (
        constraints.verbaliser == "auto"
        and av.engine == "transformers"
        and not here[0].cpu
        and av.kind != "bf16"
    ):
        yield f"vLLM does not quantise to {av.kind}: transformers writes the readings, several times as slowly."
