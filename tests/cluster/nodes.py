"""Where replicas stand."""

from __future__ import annotations

from typing import Any


def node_of(cluster: Any, replica: str) -> Any:
    """A node of the cluster on which a living replica of this class stands."""
    from ray._private.state import actors

    for actor in actors().values():
        if actor["State"] == "ALIVE" and replica in actor["Name"]:
            for node in cluster.worker_nodes:
                if node.node_id == actor["Address"]["NodeID"]:
                    return node
    raise AssertionError(f"no {replica} is alive")
