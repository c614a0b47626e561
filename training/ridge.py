"""The closed form of a tuned lens: ridge regression from each layer's residual to what the later blocks still
add to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from server.nla.lens.tuned_lens import Translator


@dataclass
class Moments:
    """Weighted sums over positions of [h, 1] with itself and with what is still to come, for every layer but
    the last.
    """

    own: Tensor  # [L - 1, d + 1, d + 1]
    rest: Tensor  # [L - 1, d + 1, d]

    @classmethod
    def none(cls, layers: int, d: int) -> Moments:
        return cls(torch.zeros(layers - 1, d + 1, d + 1), torch.zeros(layers - 1, d + 1, d))

    def add(self, residuals: Tensor) -> None:
        """residuals: [L, n, d]. The final norm sees directions alone, so each position weighs 1 / |last residual|^2."""
        last = residuals[-1]
        weight = last.square().sum(-1, keepdim=True).reciprocal()  # [n, 1]
        for row, h in enumerate(residuals[:-1]):
            x = F.pad(h, (0, 1), value=1.0)
            self.own[row] += (x * weight).T @ x
            self.rest[row] += (x * weight).T @ (last - h)

    def ridge(self, row: int, strength: float, rank: int) -> Translator:
        """The regression on what is still to come, shrunk towards none of it, its output in `rank` directions."""
        own, rest = self.own[row].double(), self.rest[row].double()
        d = rest.shape[1]
        mean = own[:d, d] / own[d, d]
        spread = own[:d, :d].diagonal().sum() / own[d, d] - mean.square().sum()
        penalty = torch.full((d + 1,), float(strength * spread / d * own[d, d])).double()
        penalty[d] = 0.0  # the bias is free
        solution = torch.linalg.solve(own + penalty.diag(), rest)  # [d + 1, d]
        whole = solution[:d].T
        covariance = own[:d, :d] - own[d, d] * mean.outer(mean)
        directions = torch.linalg.eigh(whole @ covariance @ whole.T).eigenvectors[:, -rank:]
        low = directions.T @ whole
        bias = solution[d] + (whole - directions @ low) @ mean  # what is cut off stays as its mean
        return Translator((low.float(), directions.float()), bias.float())
