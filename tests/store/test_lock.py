from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import StoreError
from server.store.lock import held


def test_a_data_directory_has_one_server(tmp_path: Path) -> None:
    with held(tmp_path / "data"):
        with pytest.raises(StoreError, match="Another nla-explorer uses"), held(tmp_path / "data"):
            pass
        with held(tmp_path / "other"):
            pass
    with held(tmp_path / "data"):
        pass
