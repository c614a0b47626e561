"""Settings of a cluster, and numbers of replicas as NLA_RAY_REPLICAS names them. All of it without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.errors import SettingsError
from server.nla.checkpoints.pairs import ROLES, Role

MOST = 1000


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
    """The cluster, how many replicas each model is to have, and how many CPUs each of them."""

    address: str
    bounds: Mapping[Role, Bounds]
    cpus: int = 1


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
