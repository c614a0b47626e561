"""The command line on fake models: `python -m tests.api.serving serve --port 0 …`.

With FAKE_REFUSED in the environment the checkpoint is refused; the AV writes nothing, so that analyses stay
unfinished. With FAKE_READINGS it writes so many, each in FAKE_PACE seconds.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import server.app
import server.in_process
from server import cli
from server.errors import CheckpointError
from tests.fakes import FakeSource


class Unkept(list[Any]):
    """In place of a record of what a fake was asked for, which would grow for as long as the server runs."""

    def append(self, _: Any) -> None:
        """Keep nothing."""


def source(*_: object) -> FakeSource:
    """In place of the catalogue."""
    refused = os.environ.get("FAKE_REFUSED")
    found = FakeSource(error=CheckpointError(refused) if refused else None)
    found.pair.verbaliser.limit(int(os.environ.get("FAKE_READINGS", "0")))
    found.pair.verbaliser.pace = float(os.environ.get("FAKE_PACE", "0"))
    for model in vars(found.pair).values():
        for name, value in list(vars(model).items()) if hasattr(model, "__dict__") else ():
            if isinstance(value, list):
                setattr(model, name, Unkept())
    return found


if __name__ == "__main__":
    for module in (server.app, server.in_process):
        vars(module)["Catalogue"] = source
    sys.exit(cli.main())
