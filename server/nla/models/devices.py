"""The GPUs of this machine, or its memory: the one place where they are looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

from server.errors import SettingsError
from server.nla.memory.machine import Device

DRIVER = Path("/proc/driver/nvidia/version")
NODES = Path("/dev")
NEEDED = {"12.6": 560, "12.8": 570, "13.0": 580}
"""The first branch of NVIDIA's driver for each CUDA version that PyTorch is built for."""


def devices() -> list[Device]:
    """List the devices with what is free at this moment; the machine's memory where there is no GPU. Raises
    SettingsError for a GPU that PyTorch cannot use.
    """
    available = torch.cuda.is_available()
    check_driver(driver_text(), torch.version.cuda, available, os.environ)
    if not available:
        memory = psutil.virtual_memory()
        return [Device(0, "this machine's memory", int(memory.total), int(memory.available), cpu=True)]
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        properties = torch.cuda.get_device_properties(index)
        capability = (properties.major, properties.minor)
        found.append(Device(index, properties.name, total, free, capability))
    return found


def driver_text(driver: Path = DRIVER, nodes: Path = NODES) -> str | None:
    """Return the version of NVIDIA's driver; None where no GPU of NVIDIA's is at hand. A container that
    was given no GPU still shows the driver's file of its machine: only the device nodes tell.
    """
    if not any(nodes.glob("nvidia[0-9]*")):
        return None
    return driver.read_text("utf-8", errors="replace") if driver.is_file() else ""


def check_driver(text: str | None, cuda: str | None, available: bool, environment: Mapping[str, str]) -> None:
    """Raise SettingsError where a GPU is here, by the driver's `text`, and a PyTorch built for `cuda` cannot
    use it: it would compute on the CPU in float32, and nothing would say so. Not where CUDA_VISIBLE_DEVICES
    hides every GPU.
    """
    hidden = environment.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    if text is None or cuda is None or available or hidden:
        return
    version = re.search(r"\b\d{3}\.\d+(\.\d+)*\b", text)
    found = f"driver {version[0]}" if version else "driver, of a version that cannot be read,"
    first = NEEDED.get(cuda)
    needed = f"driver {first} or newer" if first else "a newer one"
    raise SettingsError(
        f"An NVIDIA GPU is here that PyTorch cannot use: NVIDIA's {found} is installed, and PyTorch for "
        f"CUDA {cuda} needs "
        f'{needed}. To compute on the CPU on purpose, set CUDA_VISIBLE_DEVICES="" (empty).'
    )
