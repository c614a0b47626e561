"""Which kinds a model can be held in here: what the engine, the GPU and the family of the model allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from server.errors import SettingsError
from server.nla.memory.figures import Needs
from server.nla.memory.machine import Device
from server.nla.memory.precision import ENGINE_OF, Kind, Role, choices, lowered, written

if TYPE_CHECKING:
    from server.nla.memory.plan import Plan, Wishes

FP8_CAPABILITY = (7, 5)
"""Older GPUs cannot hold FP8 in vLLM at all."""
FP8_QUICK = (8, 9)
"""Older ones hold weights in FP8 and reckon in bfloat16 (vLLM's Marlin kernel)."""


def engine_of(verbaliser: str, kind: Kind, devices: Sequence[Device]) -> str:
    """Who writes the readings of an AV of this kind: `auto` is vLLM on a GPU for the kinds that vLLM has, and
    transformers otherwise.
    """
    asked = "transformers" if verbaliser == "auto" and devices[0].cpu else verbaliser
    return ENGINE_OF[asked].get(kind, "transformers")


def possible(
    needs: Needs, devices: Sequence[Device], wishes: Wishes, precision: str | None = None
) -> dict[Role, tuple[Kind, ...]]:
    """The kinds that each model may be held in here, by the wishes or by another `precision`. Raises
    SettingsError where none of those that were asked for is possible.
    """
    found: dict[Role, tuple[Kind, ...]] = {}
    for role, kinds in choices(wishes.precision if precision is None else precision).items():
        against = {kind: _against(role, kind, needs, devices, wishes.verbaliser) for kind in kinds}
        found[role] = tuple(kind for kind in kinds if not against[kind])
        if not found[role]:
            raise SettingsError(f"NLA_PRECISION: {role}={kinds[0]} is not possible: {against[kinds[0]]}.")
    return found


def _against(role: Role, kind: Kind, needs: Needs, devices: Sequence[Device], verbaliser: str) -> str:
    """Why a model cannot be held so, or nothing."""
    if kind == "bf16":
        return ""
    if role not in needs.models:
        return "others hold it, in the kind that they were started with"
    if role == "av":
        engines = ENGINE_OF["transformers" if verbaliser == "auto" and devices[0].cpu else verbaliser]
        if kind not in engines:
            return f"the engine {verbaliser} takes {', '.join(engines)} here"
    if kind == "fp8" and devices[0].cpu:
        return "vLLM has FP8 on GPUs alone"
    if kind == "fp8" and (old := _older(devices, FP8_CAPABILITY)):
        return f"{old} is older than CUDA capability 7.5, which vLLM's FP8 wants"
    if kind == "8bit" and needs.models[role].shape.family.startswith("gemma"):
        return "bitsandbytes reckons 8 bits in float16, whose range Gemma's values exceed: take 4bit, or fp8 for the AV"
    return ""


def _older(devices: Sequence[Device], capability: tuple[int, int]) -> str:
    return next((d.name for d in devices if d.capability is not None and d.capability < capability), "")


def notes(plan: Plan, wishes: Wishes) -> Iterator[str]:
    """What a person should know of a plan beside its figures."""
    if not plan.needs.exact:
        yield "Reckoned from the catalogue; the files, when they are here, are counted again."
    changed = lowered(plan.precision)
    if changed and "auto" in wishes.precision:
        yield f"Chosen to fit, since NLA_PRECISION is {wishes.precision}: {written(plan.precision)}."
    if changed:
        yield "Readings and scores are of the quantised models; every page says so."
    short = [d for d in plan.devices if d.cpu and plan.used(d.index) > d.free]
    if short:
        yield "For the longest texts that the settings allow there is too little; shorter ones will do."
    av = plan.parts.get("av")
    if av is None:
        return
    here = [plan.devices[index] for index in av.devices]
    if av.kind == "fp8" and (old := _older(here, FP8_QUICK)):
        yield f"{old} has no FP8 arithmetic: the AV's weights are kept in FP8, but reckoned with in bfloat16."
    if wishes.verbaliser == "auto" and av.engine == "transformers" and not here[0].cpu and av.kind != "bf16":
        yield f"vLLM does not quantise to {av.kind}: transformers writes the readings, several times as slowly."
