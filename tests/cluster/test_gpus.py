"""GPUs that a model is given, calculated for GPUs that are not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import CheckpointError
from server.nla.checkpoints.pairs import Role, catalogue
from server.nla.memory.machine import unused_gpus
from server.nla.verbalisers.factory import Serving

pytest.importorskip("ray")


@pytest.mark.parametrize(
    ("pair", "role", "gib", "engine", "least", "most"),
    [
        ("qwen2.5-7b-l20", "target", 80, "transformers", 0.2, 0.35),
        ("qwen2.5-7b-l20", "ar", 80, "transformers", 0.1, 0.3),
        ("qwen2.5-7b-l20", "av", 80, "vllm", 1, 1),
        ("qwen2.5-7b-l20", "target", 16, "transformers", 2, 2),
        ("llama3.3-70b-l53", "target", 80, "transformers", 2, 4),
    ],
)
def test_a_model_gets_the_share_that_it_needs(
    pair: str, role: Role, gib: int, engine: str, least: float, most: float, tmp_path: Path
) -> None:
    from server.nla.cluster.deployments import gpus
    from server.nla.cluster.replicas import PairOrder

    order = PairOrder(catalogue(None, tmp_path)[pair], tmp_path, Serving(engine))
    assert least <= gpus(order, role, unused_gpus([gib])[0]) <= most


def test_what_eight_gpus_do_not_hold_is_refused(tmp_path: Path) -> None:
    from server.nla.cluster.deployments import gpus
    from server.nla.cluster.replicas import PairOrder

    order = PairOrder(catalogue(None, tmp_path)["llama3.3-70b-l53"], tmp_path, Serving("transformers"))
    with pytest.raises(CheckpointError, match=r"The target of llama3\.3-70b-l53 does not fit on 8 GPUs"):
        gpus(order, "target", unused_gpus([12])[0])
