"""Where replicas stand."""

from __future__ import annotations

from typing import Any


def living(replica: str) -> dict[str, Any]:
    """The living replicas of this class: what Ray knows of each, by its id."""
    from ray._private.state import actors

    return {
        id: actor
        for id, actor in actors().items()
        if actor["State"] == "ALIVE" and replica in (actor["Name"] or "")
    }


def node_of(cluster: Any, replica: str) -> Any:
    """A node of the cluster on which a living replica of this class stands."""
    for actor in living(replica).values():
        for node in cluster.worker_nodes:
            if node.node_id == actor["Address"]["NodeID"]:
                return node
    raise AssertionError(f"no {replica} is alive")


def lose(cluster: Any, what: str) -> None:
    """Kill a node with a replica of the AV on it, such a replica, or the controller of Serve, without a warning."""
    import ray
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    if what == "node":
        cluster.remove_node(node_of(cluster, ".av."), allow_graceful=False)
        return
    name = SERVE_CONTROLLER_NAME if what == "controller" else next(iter(living(".av.").values()))["Name"]
    # As a crash would: Ray, or Serve, starts another.
    ray.kill(ray.get_actor(name, namespace=SERVE_NAMESPACE), no_restart=False)
