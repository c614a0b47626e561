"""Deployments: what a pair's models are given in the cluster, and that they are there."""

from __future__ import annotations

import asyncio
import hashlib
import math
import socket
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus

from server.errors import CheckpointError, SettingsError
from server.nla.checkpoints.pairs import ROLES, Role
from server.nla.cluster.bounds import Bounds, ClusterSettings
from server.nla.cluster.replicas import (
    ModelReplica,
    PairOrder,
    ReconstructorReplica,
    TargetReplica,
    VerbaliserReplica,
)
from server.nla.memory.machine import Device
from server.nla.memory.plan import plan
from server.nla.memory.requirements import requirements
from server.nla.models.devices import devices

NAMESPACE = "nla-explorer"
REPLICAS: dict[Role, type[ModelReplica]] = {
    "target": TargetReplica,
    "av": VerbaliserReplica,
    "ar": ReconstructorReplica,
}
CALLED: dict[Role, str] = {"target": "target", "av": "AV", "ar": "AR"}
ONGOING = 10_000
"""Calls that a replica takes at a time: a model's own queue is behind it."""
SHARE = 0.05
"""Shares of a GPU are rounded up to a multiple of this."""
GPUS = (1, 2, 4, 8)
REACHED = 5.0
"""Seconds within which the cluster must take a connection."""
LOOK = 1.0
"""Seconds between two looks at what is being deployed."""


def connect(address: str) -> None:
    """Join the cluster. Raises SettingsError where there is none."""
    if ray.is_initialized():
        return
    try:
        if ":" in address:
            host, _, port = address.rpartition(":")
            socket.create_connection(
                (host.strip("[]"), int(port)), REACHED
            ).close()  # Ray would try for minutes
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"There is no Ray cluster at {address} ({str(error).strip().splitlines()[0]}). Start one with `ray start "
            "--head`, let this machine join one with `ray start --address HEAD:6379`, or name another in "
            "NLA_RAY_ADDRESS."
        ) from error
    serve.start(proxy_location="Disabled")


def names(order: PairOrder, cluster: ClusterSettings) -> dict[Role, str]:
    """The name of each model's application: it changes with what a replica loads and is given."""
    found: dict[Role, str] = {}
    for role in ROLES:
        digest = hashlib.sha256(repr((order.of(role), cluster.cpus)).encode()).hexdigest()[:8]
        found[role] = f"{prefix(order.entry.name, role)}{digest}"
    return found


def prefix(pair: str, role: Role) -> str:
    """The beginning of the names of all applications that hold this model of a pair."""
    return f"nla.{pair}.{role}."


def application(
    order: PairOrder, role: Role, cluster: ClusterSettings, gpu: Device | None, name: str
) -> serve.RunTarget:
    """The application of one model, on a cluster with such GPUs or with none."""
    own = order.of(role)
    options = {
        "name": role,
        "max_ongoing_requests": ONGOING,
        "health_check_period_s": 5,
        "graceful_shutdown_timeout_s": 30,
        "ray_actor_options": {"num_cpus": cluster.cpus, "num_gpus": gpus(own, role, gpu) if gpu else 0},
        **cluster.bounds[role].options(),
        # Without a version that stays, Serve starts every replica again when their number changes.
        "version": name,
        "_internal": True,
    }
    target = serve.deployment(REPLICAS[role]).options(**options).bind(own)
    return serve.RunTarget(target=target, name=name, route_prefix=None)


def gpus(order: PairOrder, role: Role, gpu: Device) -> float:
    """The GPUs of this kind that a model needs: a share of one where it leaves room for another, all of it for vLLM,
    which takes what there is. Raises CheckpointError where eight would not do.
    """
    needs = requirements(order.entry, [role])
    if needs is None:  # of unknown size before its files are here
        return 1
    constraints = order.serving.constraints(order.entry.profile)
    for count in GPUS:
        free = [Device(n, gpu.name, gpu.total, gpu.total, gpu.capability) for n in range(count)]
        found = plan(needs, free, constraints)
        if found is None:
            continue
        if count > 1 or found.parts[role].engine == "vllm":
            return count
        return min(1.0, round(SHARE * math.ceil(found.used(0) / gpu.total / SHARE), 2))
    raise CheckpointError(
        f"The {CALLED[role]} of {order.entry.name} does not fit on {GPUS[-1]} GPUs of {gpu.name}: ask for less with "
        "NLA_PRECISION.",
        check="memory",
    )


class Deployer:
    """One at a time deploys for all servers of a cluster: the second finds what the first has deployed, as long as the
    cluster stands.
    """

    def __init__(self) -> None:
        self._gpu: Device | None = None
        self._bounds: dict[str, Bounds] = {}

    def deploy(self, order: PairOrder, cluster: ClusterSettings) -> dict[Role, str]:
        """Deploy a pair's models as far as they are not, or not in these numbers, and delete those of before that had
        other settings. Returns the names of their applications.
        """
        wanted = names(order, cluster)
        known = serve.status().applications
        for role in ROLES:
            old = [name for name in known if name.startswith(prefix(order.entry.name, role))]
            for name in old:
                if name != wanted[role] or known[name].status == ApplicationStatus.DEPLOY_FAILED:
                    serve.delete(name)
                    del known[name]
        bounds = {wanted[role]: cluster.bounds[role] for role in ROLES}
        changed = [
            role
            for role, name in wanted.items()
            if name not in known or self._bounds.get(name, bounds[name]) != bounds[name]
        ]
        if changed:
            gpu = self._a_gpu()
            targets = [application(order, role, cluster, gpu, wanted[role]) for role in changed]
            serve.run_many(targets, wait_for_applications_running=False)
        self._bounds |= bounds
        return wanted

    def _a_gpu(self) -> Device | None:
        """A GPU of the cluster, of those that Ray gives first; None where there is none. Asked for once: later there
        may be no share of any left to look at.
        """
        if self._gpu is None and ray.cluster_resources().get("GPU"):
            found: list[Device] = ray.get(ray.remote(num_cpus=0, num_gpus=0.01)(devices).remote())
            self._gpu = found[0]
        return self._gpu


DeployerActor: Any = ray.remote(num_cpus=0)(Deployer)


async def deployed(
    order: PairOrder, cluster: ClusterSettings, progress: Callable[[str], None]
) -> dict[Role, str]:
    """The names of a pair's applications, once all of them run. Raises CheckpointError where one cannot."""
    actor = DeployerActor.options(name="deployer", get_if_exists=True, lifetime="detached").remote()
    found: dict[Role, str] = await actor.deploy.remote(order, cluster)
    while True:
        known = (await asyncio.to_thread(serve.status)).applications
        states = {role: known[name] for role, name in found.items() if name in known}
        for role, state in states.items():
            if state.status == ApplicationStatus.DEPLOY_FAILED:
                said = [d.message for d in state.deployments.values() if d.message] or [state.message]
                raise CheckpointError(f"The {CALLED[role]} cannot be deployed: {' '.join(said).strip()}")
        waiting = [
            role for role in found if role not in states or states[role].status != ApplicationStatus.RUNNING
        ]
        if not waiting:
            return found
        progress(f"waiting for the {' and the '.join(CALLED[role] for role in waiting)} in the cluster")
        await asyncio.sleep(LOOK)
