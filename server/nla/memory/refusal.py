"""What is said when a pair does not fit: how much it lacks, and what would fit. All that is named here was planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.errors import CheckpointError
from server.nla.memory.figures import GIB, Needs
from server.nla.memory.limits import possible
from server.nla.memory.machine import Device, imagined
from server.nla.memory.plan import Plan, Wishes, least, placed, plan
from server.nla.memory.precision import ROLES, Precision, ladder, written

BOXES = sorted(
    ((n, size) for n in (1, 2, 4, 8) for size in (16, 24, 48, 80, 141)), key=lambda b: (b[0] * b[1], b[0])
)
"""GPUs that can be had, the smallest box first: how many, and GiB of each."""


def demand(needs: Needs, devices: Sequence[Device], wishes: Wishes) -> Plan:
    """The plan. Raises CheckpointError where nothing fits, with what would; SettingsError for impossible wishes."""
    found = plan(needs, devices, wishes)
    if found is None:
        raise CheckpointError(refusal(needs, devices, wishes), check="memory")
    return found


def refusal(needs: Needs, devices: Sequence[Device], wishes: Wishes) -> str:
    """One paragraph: the smallest that was wished for, what is free, and the way out."""
    smallest = ladder(possible(needs, devices, wishes))[-1]
    need, free = least(needs, devices, wishes, smallest), sum(device.free for device in devices)
    which = "" if written(smallest) == "bf16" else f" with {written(smallest)}"
    said = f"{needs.name} does not fit: it needs {need / GIB:.1f} GiB{which}, {_free(devices)}"
    if need <= free:
        said += ", in pieces that cannot be laid out so"
    ways = []
    if (lower := lower_precision(needs, devices, wishes)) is not None:
        size = least(needs, devices, wishes, lower) / GIB
        ways.append(f"with NLA_PRECISION={written(lower)} ({size:.1f} GiB; every page says that it is so)")
    if (box := smallest_box(needs, wishes)) is not None:
        ways.append(f"on {_box(*box)}")
    return f"{said}. " + (f"It would fit {', or '.join(ways)}." if ways else "No usual machine holds it so.")


def lower_precision(needs: Needs, devices: Sequence[Device], wishes: Wishes) -> Precision | None:
    """The first precision, of all that are possible on these devices and no model's is higher than was wished, that
    fits.
    """
    allowed = possible(needs, devices, wishes, "auto")
    asked = possible(needs, devices, wishes)
    if allowed == asked:
        return None
    for role in ROLES:
        allowed[role] = allowed[role][allowed[role].index(asked[role][0]) :]
    fitting = (step for step in ladder(allowed) if placed(needs, devices, wishes, step) is not None)
    return next(fitting, None)


def smallest_box(needs: Needs, wishes: Wishes) -> tuple[int, int] | None:
    """The smallest of BOXES on which it fits as it was wished."""
    engine = "auto" if wishes.verbaliser == "transformers" and "av" in needs.models else wishes.verbaliser
    for count, size in BOXES:
        if plan(needs, imagined([size] * count), replace(wishes, verbaliser=engine)) is not None:
            return count, size
    return None


def _free(devices: Sequence[Device]) -> str:
    if devices[0].cpu:
        return f"and {devices[0].free / GIB:.1f} GiB of this machine's memory are free"
    each = [f"{device.free / GIB:.1f}" for device in devices]
    if len(each) == 1:
        return f"and {each[0]} GiB are free on the GPU"
    alike = (
        f"{each[0]} GiB are free on each of" if len(set(each)) == 1 else f"{', '.join(each)} GiB are free on"
    )
    return f"and {alike} the {len(each)} GPUs"


def _box(count: int, size: int) -> str:
    return f"one GPU of {size} GiB" if count == 1 else f"{count} GPUs of {size} GiB"
