"""The GPUs of this machine, or its memory: the one place where they are looked at."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]
import torch

from server.nla.memory.machine import Device


def devices() -> list[Device]:
    """What is there and free at this moment; the machine's memory where there is no GPU."""
    if not torch.cuda.is_available():
        memory = psutil.virtual_memory()
        return [Device(0, "this machine's memory", int(memory.total), int(memory.available), cpu=True)]
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        properties = torch.cuda.get_device_properties(index)
        capability = (properties.major, properties.minor)
        found.append(Device(index, properties.name, total, free, capability))
    return found
