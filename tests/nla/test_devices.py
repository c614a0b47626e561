"""A GPU that PyTorch cannot use is refused with one line, and the CPU is taken where that is meant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import torch

from server.errors import SettingsError
from server.nla.checkpoints.pairs import DEFAULT, catalogue
from server.nla.models import devices as looked
from server.nla.models.devices import check_driver, devices, driver_text
from server.nla.models.loaded_pair import load

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12.3.0\n"  # noqa: E501
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build  (dvs-builder)\n"


@pytest.mark.parametrize(
    ("text", "cuda", "found", "needed"),
    [
        (CLOSED, "13.0", "driver 535.104.05 is", "CUDA 13.0 needs driver 580 or newer"),
        (OPEN, "12.8", "driver 550.54.14 is", "CUDA 12.8 needs driver 570 or newer"),
        (OPEN, "12.6", "driver 550.54.14 is", "CUDA 12.6 needs driver 560 or newer"),
        (OPEN, "14.1", "driver 550.54.14 is", "CUDA 14.1 needs a newer one"),
        ("", "13.0", "of a version that cannot be read", "driver 580 or newer"),
    ],
)
def test_a_driver_too_old_is_refused_with_the_one_needed(
    text: str, cuda: str, found: str, needed: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        check_driver(text, cuda, False, {"CUDA_VISIBLE_DEVICES": "0"})
    said = refusal.value.detail
    assert found in said and needed in said and 'CUDA_VISIBLE_DEVICES=""' in said and "\n" not in said


@pytest.mark.parametrize(
    ("text", "cuda", "available", "environment"),
    [
        (None, "13.0", False, {}),  # no GPU
        (CLOSED, None, False, {}),  # PyTorch for the CPU
        (CLOSED, "13.0", True, {}),
        (CLOSED, "13.0", False, {"CUDA_VISIBLE_DEVICES": ""}),
        (CLOSED, "13.0", False, {"CUDA_VISIBLE_DEVICES": "-1"}),
    ],
)
def test_the_cpu_is_taken_without_a_gpu_or_on_purpose(
    text: str | None, cuda: str | None, available: bool, environment: dict[str, str]
) -> None:
    check_driver(text, cuda, available, environment)


def test_only_a_device_node_means_that_a_gpu_is_at_hand(tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.write_text(CLOSED)
    (tmp_path / "nvidiactl").touch()
    assert driver_text(version, tmp_path) is None
    (tmp_path / "nvidia0").touch()
    assert driver_text(version, tmp_path) == CLOSED
    version.unlink()
    assert driver_text(version, tmp_path) == ""


def test_a_pair_is_not_loaded_on_the_cpu_of_a_box_with_an_old_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(looked, "driver_text", lambda: CLOSED)
    with pytest.raises(SettingsError, match=r"driver 535\.104\.05"):
        asyncio.run(load(catalogue(None, tmp_path)[DEFAULT], cache_dir=tmp_path))
    assert not list(tmp_path.iterdir()), "something was fetched first"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices()[0].cpu
