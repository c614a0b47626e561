"""The memory plan of a pair that nobody has begun to load: here, or on GPUs that somebody thinks of buying."""

from __future__ import annotations

from dataclasses import replace

from server.errors import NotReady
from server.nla.checkpoints.pairs import PairEntry
from server.nla.checkpoints.specs import AvSpec
from server.nla.checkpoints.weights import Weights
from server.nla.memory.figures import Model, Needs
from server.nla.memory.machine import imagined, sizes_said
from server.nla.memory.plan import Plan
from server.nla.memory.precision import Role
from server.nla.memory.refusal import demand
from server.nla.memory.sizes import config_of, counted, needs
from server.nla.models.devices import devices
from server.nla.verbalisers.factory import Serving


def alone(serving: Serving, spec: AvSpec) -> Plan:
    """Of an AV that has the machine to itself, as in a benchmark."""
    models: dict[Role, Model] = {}
    if not serving.elsewhere:
        models["av"] = counted(Weights(spec.folder), config_of(spec.folder))
    return demand(Needs(spec.folder.name, models), devices(), serving.wishes(spec.profile))


def planned(entry: PairEntry, serving: Serving, gpus: str | None) -> Plan:
    """On this machine, or on GPUs that hold nothing else (`80,80`, in GiB). Raises CheckpointError where it
    does not fit.
    """
    found = needs(entry, av_weights=not serving.elsewhere)
    if found is None:
        raise NotReady(
            f"The sizes of {entry.name} are not known before its files are here: `nla-explorer pairs check "
            f"{entry.name}` "
            "fetches and checks them."
        )
    if gpus is None:
        return demand(found, devices(), serving.wishes(entry.profile))
    wishes = serving.wishes(entry.profile)
    if serving.wanted == "auto":  # such a machine would have vLLM, whatever is installed on this one
        wishes = replace(wishes, verbaliser="transformers" if entry.profile.adds else "auto")
    return demand(found, imagined(sizes_said(gpus)), wishes)
