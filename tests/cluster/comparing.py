"""Analyses that are compared: what is asked for, and what comes back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tests.analyses.asking import analyses_of, watch

BODY = {
    "text": "Why do cats purr when they sleep in the sun?",
    "verbalise": {"max_new_tokens": 24, "temperature": 0.0},
    "generate": {"max_new_tokens": 4},
}
LONG = {
    "text": " ".join(["The cat sat on the mat and looked at the moon."] * 8),
    "verbalise": {"max_new_tokens": 64, "temperature": 0.0},
}


def assert_same(one: Any, other: Any) -> None:
    """Compare all there is; numbers may differ as much as float32 products do in batches of other sizes."""
    if dataclasses.is_dataclass(one):
        one, other = vars(one), vars(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), [other[key] for key in one]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for this, that in zip(one, other, strict=True):
            assert_same(this, that)
    elif isinstance(one, float | np.ndarray):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    else:
        assert one == other


async def found(client: Any, app: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The finished analysis."""
    asked = (await client.post("/api/analyses", json=body)).json()
    await watch(analyses_of(app), asked["id"])
    answer: dict[str, Any] = (await client.get(f"/api/analyses/{asked['id']}")).json()
    return answer
