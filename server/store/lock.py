"""One server to a data directory: two would both take up the same unfinished work."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.errors import StoreError


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the data directory. The lock goes with the process, however that ends. Raises StoreError if
    another holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"Another nla-explorer uses {data_dir}. Stop it, or start this one with another --data-dir."
            ) from error
        yield
