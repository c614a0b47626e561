"""Settings of a cluster, and numbers of replicas as NLA_RAY_REPLICAS names them. All of it without Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.errors import SettingsError
from server.nla.checkpoints.pairs import ROLES, Role
from server.nla.verbalisers.capacity import Capacity

MOST = 1000
SPARE = 2
"""Calls that wait in a replica's engine for seats."""


@dataclass(frozen=True)
class Bounds:
    """From how many to how many replicas a model has; Serve scales it between them by its load."""

    least: int = 1
    most: int = 1

    def options(self) -> Mapping[str, Any]:
        """The options of a deployment."""
        if self.least == self.most:
            return {"num_replicas": self.least}
        return {"autoscaling_config": {"min_replicas": self.least, "max_replicas": self.most}}


@dataclass(frozen=True)
class ClusterSettings:
    """The cluster, how many replicas each model is to have, how many CPUs each of them, and how many readings the AV is
    asked for in one call.
    """

    address: str
    bounds: Mapping[Role, Bounds]
    cpus: int = 1
    window: int = 64

    def capacity(self, seats: int | None) -> Capacity:
        """Return how much the replicas of the AV may be asked for at a time; each reads so many activations at once, or
        (None) takes one call after the other.

        A call is for a window of readings, as each has a stream of its own. A few more are made than there are seats
        for: none is empty while the last readings of a call are written.
        """
        calls = 1 if seats is None else math.ceil(seats / self.window) + SPARE
        most = self.bounds["av"].most
        return Capacity(None, calls=calls * most, replicas=most)


def parse_bounds(text: str) -> dict[Role, Bounds]:
    """Parse `av=1-4,ar=2`; a model that is not named has one replica. Raises SettingsError."""
    found: dict[Role, Bounds] = dict.fromkeys(ROLES, Bounds())
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, numbers = word.partition("=")
        role = next((role for role in ROLES if role == name.strip()), None)
        least, dash, most = numbers.partition("-")
        try:
            bounds = Bounds(int(least), int(most) if dash else int(least))
        except ValueError:
            bounds = Bounds(0, 0)
        if role is None or not 0 <= bounds.least <= bounds.most <= MOST or bounds.most == 0:
            raise SettingsError(
                f"NLA_RAY_REPLICAS: {word!r} says no number of replicas. Name target, av or ar with a number or with "
                f"two, such as av=1-4,ar=2 (0-2: none while nobody asks; {MOST} at most)."
            )
        found[role] = bounds
    return found
