"""Watch over the replicas of a pair: is there one of each model that can be asked?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

_log = logging.getLogger(__name__)
EVERY = 2.0
"""Seconds between two looks."""
ANSWER = 5.0
"""Seconds after which a cluster that says nothing is in trouble. Ray itself waits for a lost head for a minute; then
it ends the process.
"""


class ReplicaWatch:
    """Looks at the applications of a pair (`names`, by what each is called) from `start` to `close`."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the pair cannot be asked at the moment, if so."""

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look(), name="watch-replicas")

    async def _look(self) -> None:
        while True:
            look = asyncio.ensure_future(asyncio.to_thread(missing, self._names))
            try:
                if not (await asyncio.wait({look}, timeout=ANSWER))[0]:
                    self._found(
                        f"The Ray cluster has not answered for {ANSWER:.0f} seconds: is its head there?"
                    )
                self._found(await look)
            except (RayError, RayServeException, ConnectionError, TimeoutError) as error:
                self._found(f"The Ray cluster does not answer: {str(error).strip().splitlines()[0]}")
            finally:
                look.cancel()
            await asyncio.sleep(EVERY)

    def _found(self, problem: str | None) -> None:
        if problem != self.problem:
            _log.warning("%s", problem or "every model has a replica again")
        self.problem = problem

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def missing(names: Mapping[str, str]) -> str | None:
    """Say which of the applications have no replica that runs; None when all have."""
    known = serve.status().applications
    absent = []
    for name, application in names.items():
        deployments = known[application].deployments.values() if application in known else []
        if not any(deployment.replica_states.get("RUNNING") for deployment in deployments):
            absent.append(name)
    return f"No replica of the {' and the '.join(absent)} is running." if absent else None
