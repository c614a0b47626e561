"""Memory plans of pairs that are not loaded: on this machine, or on GPUs that somebody thinks of buying."""

from __future__ import annotations

from dataclasses import replace

from server.errors import NotReady
from server.nla.checkpoints.pairs import PairEntry
from server.nla.checkpoints.specs import AvSpec
from server.nla.checkpoints.weights import Weights
from server.nla.memory.estimates import Model, Requirements
from server.nla.memory.fit_errors import require_fit
from server.nla.memory.machine import parse_sizes, unused_gpus
from server.nla.memory.plan import Plan
from server.nla.memory.precision import Role
from server.nla.memory.requirements import config_of, model_of_files, requirements
from server.nla.models.devices import devices
from server.nla.verbalisers.factory import Serving


def plan_av(serving: Serving, spec: AvSpec) -> Plan:
    """Plan an AV that has the machine to itself, as in a benchmark."""
    models: dict[Role, Model] = {}
    if not serving.elsewhere:
        models["av"] = model_of_files(Weights(spec.folder), config_of(spec.folder))
    return require_fit(Requirements(spec.folder.name, models), devices(), serving.constraints(spec.profile))


def plan_pair(entry: PairEntry, serving: Serving, gpus: str | None) -> Plan:
    """Plan a pair on this machine, or on GPUs that hold nothing else (`80,80`, in GiB). Raises CheckpointError where it
    does not fit.
    """
    found = requirements(entry, serving.held())
    if found is None:
        raise NotReady(
            f"The sizes of {entry.name} are not known before its files are here: `nla-explorer pairs check "
            f"{entry.name}` "
            "fetches and checks them."
        )
    if gpus is None:
        return require_fit(found, devices(), serving.constraints(entry.profile))
    constraints = serving.constraints(entry.profile)
    if serving.wanted == "auto":  # such a machine would have vLLM, whatever is installed on this one
        constraints = replace(constraints, verbaliser="transformers" if entry.profile.adds else "auto")
    return require_fit(found, unused_gpus(parse_sizes(gpus)), constraints)
