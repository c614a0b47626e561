"""Errors of pairs that do not fit: how much is missing, and what would fit. All that is named here was planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.errors import CheckpointError
from server.nla.memory.estimates import GIB, Requirements
from server.nla.memory.machine import Device, unused_gpus
from server.nla.memory.plan import Constraints, Plan, min_bytes, place, plan
from server.nla.memory.precision import ROLES, Precision, format_precision, precision_order
from server.nla.memory.precision_support import supported

BOXES = sorted(
    ((n, size) for n in (1, 2, 4, 8) for size in (16, 24, 48, 80, 141)), key=lambda b: (b[0] * b[1], b[0])
)
"""Machines that can be had, the smallest first: the number of GPUs, and GiB of each."""


def require_fit(requirements: Requirements, devices: Sequence[Device], constraints: Constraints) -> Plan:
    """Return the plan. Raises CheckpointError where nothing fits, with what would; SettingsError for constraints that
    cannot be met.
    """
    found = plan(requirements, devices, constraints)
    if found is None:
        raise CheckpointError(fit_error(requirements, devices, constraints), check="memory")
    return found


def fit_error(requirements: Requirements, devices: Sequence[Device], constraints: Constraints) -> str:
    """Return one paragraph: the smallest that was asked for, what is free, and what would fit."""
    smallest = precision_order(supported(requirements, devices, constraints))[-1]
    need = min_bytes(requirements, devices, constraints, smallest)
    which = "" if format_precision(smallest) == "bf16" else f" with {format_precision(smallest)}"
    text = f"{requirements.name} does not fit: it needs {need / GIB:.1f} GiB{which}, and {_free(devices)}"
    if need <= sum(device.free for device in devices):
        text += ", in pieces that cannot be laid out so"
    ways = []
    if (lower := lower_precision(requirements, devices, constraints)) is not None:
        size = min_bytes(requirements, devices, constraints, lower) / GIB
        ways.append(
            f"with NLA_PRECISION={format_precision(lower)} ({size:.1f} GiB; every page says that it is so)"
        )
    if (box := smallest_box(requirements, constraints)) is not None:
        ways.append("on " + (f"one GPU of {box[1]} GiB" if box[0] == 1 else f"{box[0]} GPUs of {box[1]} GiB"))
    return f"{text}. " + (f"It would fit {', or '.join(ways)}." if ways else "No usual machine holds it so.")


def lower_precision(
    requirements: Requirements, devices: Sequence[Device], constraints: Constraints
) -> Precision | None:
    """Return the first precision that fits, of those supported on these devices with no model higher than asked for."""
    allowed = supported(requirements, devices, constraints, "auto")
    asked = supported(requirements, devices, constraints)
    if allowed == asked:
        return None
    for role in ROLES:
        allowed[role] = allowed[role][allowed[role].index(asked[role][0]) :]
    steps = precision_order(allowed)
    return next((s for s in steps if place(requirements, devices, constraints, s) is not None), None)


def smallest_box(requirements: Requirements, constraints: Constraints) -> tuple[int, int] | None:
    """Return the smallest of BOXES on which it fits as it was asked for."""
    if constraints.verbaliser == "transformers" and "av" in requirements.models:
        constraints = replace(constraints, verbaliser="auto")
    fits = (b for b in BOXES if plan(requirements, unused_gpus([b[1]] * b[0]), constraints) is not None)
    return next(fits, None)


def _free(devices: Sequence[Device]) -> str:
    each = [f"{device.free / GIB:.1f}" for device in devices]
    if devices[0].cpu:
        return f"{each[0]} GiB of this machine's memory are free"
    if len(each) == 1:
        return f"{each[0]} GiB are free on the GPU"
    alike = (
        f"{each[0]} GiB are free on each of" if len(set(each)) == 1 else f"{', '.join(each)} GiB are free on"
    )
    return f"{alike} the {len(each)} GPUs"
