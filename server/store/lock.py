"""One server to a data directory: two would both take up the same unfinished work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.errors import StoreError


def prepare(data_dir: Path) -> None:
    """Make the data directory. Raises StoreError if it cannot be, or cannot be written to."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _unusable(data_dir, "it is a file") from error
    except OSError as error:
        raise _unusable(data_dir, f"it cannot be made ({error.strerror})") from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise _unusable(data_dir, "it cannot be written to")


def _unusable(data_dir: Path, reason: str) -> StoreError:
    return StoreError(
        f"{data_dir} cannot be the data directory: {reason}. Make it a folder that nla-explorer may write "
        f"to, or choose "
        "another with --data-dir (NLA_DATA_DIR)."
    )


@contextmanager
def lock_data_dir(data_dir: Path) -> Iterator[None]:
    """Hold the data directory. The lock goes with the process, however that ends. Raises StoreError if
    another holds it, or it cannot be written to.
    """
    prepare(data_dir)
    try:
        file = (data_dir / "lock").open("a")
    except OSError as error:
        raise _unusable(data_dir, f"its file `lock` cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"Another nla-explorer uses {data_dir}. Stop it, or start this one with another --data-dir."
            ) from error
        yield
