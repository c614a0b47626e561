"""Patches of the residual stream: an activation replaced, or pushed in a direction.

Steering is the NLA paper's: h <- h + α‖h‖ Δ/‖Δ‖; replacing: h <- ‖h‖ v/‖v‖.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from server.nla.scores import units
from server.nla.types import Floats


@dataclass(frozen=True)
class Patch:
    """A change of the residual stream after block K, at a position, or there and `onwards`. `direction`: [d], norm 1.

    Without `alpha` it takes the place of an activation's own direction, which keeps its length; else it is added, alpha
    times as long as the activation.
    """

    position: int
    direction: Floats
    alpha: float | None = None
    onwards: bool = False

    def apply(self, h: Tensor) -> Tensor:
        """[n, d] -> [n, d], whatever their positions."""
        u = torch.from_numpy(self.direction).to(h.device)
        wide = h.float()
        length = wide.norm(dim=-1, keepdim=True)
        new: Tensor = length * u if self.alpha is None else wide + self.alpha * length * u
        return new.to(h.dtype)

    def applied(self, h: Floats) -> Floats:
        """Return the patched activation, [d] -> [d]."""
        out: Floats = self.apply(torch.from_numpy(np.asarray(h, np.float32))[None])[0].numpy()
        return out

    def within(self, start: int, count: int) -> slice:
        """Say which of `count` positions from `start` on it is for, counted from there."""
        first = max(0, self.position - start)
        last = count if self.onwards else min(count, self.position + 1 - start)
        return slice(first, max(first, last))


def replacing(position: int, v: Floats, *, onwards: bool = False) -> Patch:
    """h <- ‖h‖ v/‖v‖. Raises ValueError if v is zero."""
    return Patch(position, _unit(v), None, onwards)


def steering(position: int, delta: Floats, alpha: float, *, onwards: bool = False) -> Patch:
    """h <- h + α‖h‖ Δ/‖Δ‖. Raises ValueError if Δ is zero."""
    return Patch(position, _unit(delta), alpha, onwards)


def at_same_angle(like: Patch, h: Floats, v: Floats) -> Patch:
    """The patch of the direction v [d], turned to the angle that `like` has with the activation h [d].

    A replacement is then as far off and as long as that of `like`, a step as long and no more along h or
    against it. Raises ValueError where v points along h, and has no side to turn to.
    """
    own = units(h)
    cos = float(np.clip(own @ units(like.direction), -1, 1))
    unit = units(v)
    aside = unit - (unit @ own) * own
    if np.linalg.norm(aside) < 1e-6:  # nothing but rounding
        raise ValueError("What points along the activation cannot be turned away from it.")
    aside = units(aside)
    return replace(like, direction=_unit(cos * own + float(np.sqrt(1 - cos**2)) * aside))


def random_controls(like: Patch, h: Floats, count: int, seed: int) -> list[Patch]:
    """Patches in random directions, each turned to the angle that `like` has with the activation h [d]."""
    random = np.random.default_rng(seed)
    return [at_same_angle(like, h, random.normal(size=len(h)).astype(np.float32)) for _ in range(count)]


def _unit(v: Floats) -> Floats:
    unit: Floats = units(v).astype(np.float32)
    if not unit.any():
        raise ValueError("A vector of no length has no direction.")
    return unit
