from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.errors import StoreError
from server.store.database import connect
from server.store.lock import lock_data_dir


def test_a_data_directory_has_one_server(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path / "data"):
        with pytest.raises(StoreError, match="Another nla-explorer uses"), lock_data_dir(tmp_path / "data"):
            pass
        with lock_data_dir(tmp_path / "other"):
            pass
    with lock_data_dir(tmp_path / "data"):
        pass


@pytest.fixture(params=["a file", "below a file", "read-only", "with a lock that is a folder"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What cannot be a data directory."""
    folder = tmp_path / "data"
    if request.param == "a file":
        folder.touch()
    elif request.param == "below a file":
        folder.touch()
        return folder / "below"
    elif request.param == "read-only":  # root, whom the tests may run as, is stopped by no mode of a folder
        folder.mkdir()
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: path != folder and allowed(path, mode))
    else:
        (folder / "lock").mkdir(parents=True)
    return folder


def test_a_data_directory_that_cannot_be_written_to_is_refused_by_its_name(unusable: Path) -> None:
    with (
        pytest.raises(StoreError, match=f"^{unusable} cannot be the data directory: .*--data-dir"),
        lock_data_dir(unusable),
    ):
        pass


def test_a_database_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StoreError, match="cannot be the data directory: it is a file"):
        connect(f"sqlite:///{tmp_path}/data/nla-explorer.db")
