"""Downloads: only what is needed, taken up where they broke off, and never taken for whole before they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from server.errors import CheckpointError
from server.nla.checkpoints.model_source import ModelSource, fetch, find_local, hub_commit
from tests.nla.hub import COMMIT, Hub, hub

NAME = "somebody/model"
SHARD = "model-00002-of-00002.safetensors"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "nla_meta.yaml": b"kind: nla_model\n",
    "model-00001-of-00002.safetensors": b"1" * 5000,
    SHARD: b"2" * 5000,
    "model.safetensors.index.json": b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "%s"}}'
    % SHARD.encode(),
    "original/consolidated.00.pth": b"3" * 5000,
    "original/more.safetensors": b"4" * 5000,
    "pytorch_model.bin": b"5" * 5000,
    "av/config.json": b"{}",
    "av/tokenizer.json": b"{}",
    "av/model.safetensors": b"6" * 50,
}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and a cache of one's own."""
    with hub({NAME: FILES}) as served:
        served.stand_in(monkeypatch, tmp_path / "hub")
        yield served


MODEL = ModelSource(NAME)


def get(place: ModelSource = MODEL, **more: Any) -> Path:
    """Fetch quietly."""
    return fetch(place, "the av of tiny", lambda _: None, **({"extra": ("nla_meta.yaml",)} | more))


def names(folder: Path) -> set[str]:
    """The files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_other_formats_of_the_same_weights_are_left_alone(served: Hub) -> None:
    wanted = {f for f in FILES if "/" not in f and not f.endswith(".bin")}
    assert names(get()) == wanted


def test_weights_that_others_hold_are_not_downloaded(served: Hub) -> None:
    assert names(get(weights=False)) == {
        "config.json",
        "tokenizer.json",
        "nla_meta.yaml",
        "model.safetensors.index.json",
    }


def test_weights_are_fetched_when_they_are_needed_after_all(served: Hub) -> None:
    get(weights=False)
    assert find_local(MODEL) is None
    assert SHARD in names(get())


def test_a_subfolder_comes_alone(served: Hub) -> None:
    folder = get(ModelSource(NAME, subfolder="av"), extra=())
    assert (folder.name, names(folder)) == ("av", {"config.json", "tokenizer.json", "model.safetensors"})
    assert names(folder.parent) == {f"av/{name}" for name in names(folder)}


def test_a_download_that_broke_off_is_not_whole_and_is_taken_up_again(served: Hub) -> None:
    served.breaks = SHARD
    with pytest.raises(CheckpointError, match="start again to go on"):
        get()
    assert find_local(MODEL) is None
    before, served.breaks, served.gets = served.gets, None, []
    assert (get() / SHARD).read_bytes() == FILES[SHARD]
    assert set(served.gets) & set(before) == {SHARD}


def test_a_partial_snapshot_is_not_whole_without_the_hubs_listing(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = get()
    (folder / SHARD).unlink()
    for listing in folder.parents[1].glob("trees/*"):  # older versions kept none
        listing.unlink()
    monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {})
    assert find_local(MODEL) is None
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=f"{SHARD} missing"):
        get()


def test_a_whole_snapshot_serves_without_the_hub(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = get()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    served.gets.clear()
    assert (get(), served.gets) == (folder, [])


def test_the_commit_of_a_snapshot_is_known(served: Hub, tmp_path: Path) -> None:
    assert hub_commit(get()) == hub_commit(get(ModelSource(NAME, subfolder="av"), extra=())) == COMMIT
    assert hub_commit(tmp_path) is None


def test_a_revision_is_kept_to(served: Hub) -> None:
    assert hub_commit(get(ModelSource(NAME, revision=COMMIT))) == COMMIT
    with pytest.raises(CheckpointError, match="no revision 'v9'"):
        get(ModelSource(NAME, revision="v9"))


def test_a_gated_model_says_what_to_do(served: Hub) -> None:
    served.gated.add(NAME)
    with pytest.raises(CheckpointError, match="HF_TOKEN"):
        get()


def test_a_model_that_is_not_there_is_named(served: Hub) -> None:
    with pytest.raises(CheckpointError, match=r"somebody/else \(the av of tiny\) is not on the hub"):
        get(ModelSource("somebody/else"))
