"""Text and JSON of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from server.nla.memory.estimates import GIB
from server.nla.memory.plan import Part, Plan
from server.nla.memory.precision import ROLES

HEADINGS = ("model", "held in", "by", "weights", "beside", "where")


def lines(plan: Plan) -> Iterator[str]:
    """Yield the plan as a table in GiB: the models, the devices, the notes."""
    yield f"{plan.requirements.name}, in GiB:"
    rows = [HEADINGS, *(_row(plan, plan.parts[role]) for role in ROLES if role in plan.parts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
    for device in plan.devices:
        what = f"{device.name}: " if device.cpu else f"GPU {device.index} ({device.name}): "
        yield f"  {what}{_gib(plan.used(device.index))} of {_gib(device.free)} that are free"
    if plan.sequences:
        yield f"  {plan.sequences} readings are written at once ({_gib(plan.cache)} of keys and values)"
    yield from (f"  {note}" for note in plan.notes)


def _row(plan: Plan, part: Part) -> tuple[str, ...]:
    cache = plan.cache if part.role == "av" else 0
    overhead = len(part.share) * (part.overhead + cache)
    return part.role, part.held, part.engine, _gib(part.weights), _gib(overhead), where(plan, part)


def where(plan: Plan, part: Part) -> str:
    """Return the devices of a model: `GPU 0`, `GPUs 2 and 3`."""
    if plan.devices[0].cpu:
        return "memory"
    names = [str(index) for index in part.share]
    return f"GPU {names[0]}" if len(names) == 1 else f"GPUs {', '.join(names[:-1])} and {names[-1]}"


def short(plan: Plan) -> str:
    """Return the plan in one line: `24.5 GiB: av bf16 on 0, target bf16 on 1`."""
    parts = [
        f"{part.role} {part.held}" + ("" if plan.devices[0].cpu else f" on {'+'.join(map(str, part.share))}")
        for part in (plan.parts[role] for role in ROLES if role in plan.parts)
    ]
    return f"{_gib(plan.minimum)} GiB: {', '.join(parts)}"


def document(plan: Plan) -> dict[str, Any]:
    """Return the JSON of `pairs plan --json`; all sizes in bytes."""
    return {
        "name": plan.requirements.name,
        "exact": plan.requirements.exact,
        "models": {role: _part(part) for role, part in plan.parts.items()},
        "devices": [
            {"index": d.index, "name": d.name, "total": d.total, "free": d.free, "used": plan.used(d.index)}
            for d in plan.devices
        ],
        "sequences": plan.sequences,
        "cache": plan.cache,
        "notes": list(plan.notes),
    }


def _part(part: Part) -> dict[str, Any]:
    share: Sequence[dict[str, int]] = [{"device": n, "weights": size} for n, size in part.share.items()]
    return {"kind": part.kind, "held": part.held, "engine": part.engine, "beside": part.overhead, "on": share}


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"
