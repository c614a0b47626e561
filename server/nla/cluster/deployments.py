"""Deployments: what a pair's models are given in the cluster, and that they are there."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus

from server.errors import CheckpointError, SettingsError
from server.nla.checkpoints.pairs import ROLES, Role
from server.nla.cluster.bounds import Bounds
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
LOOK = 1.0
"""Seconds between two looks at what is being deployed."""


@dataclass(frozen=True)
class ClusterSettings:
    """The cluster, how many replicas each model is to have, and how many CPUs each of them."""

    address: str
    bounds: Mapping[Role, Bounds]
    cpus: int = 1


def connect(address: str) -> None:
    """Join the cluster. Raises SettingsError where there is none."""
    if ray.is_initialized():
        return
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"There is no Ray cluster at {address} ({str(error).strip().splitlines()[0]}). Start one with `ray start "
            "--head`, let this machine join one with `ray start --address HEAD:6379`, or name another in "
            "NLA_RAY_ADDRESS."
        ) from error
    serve.start(proxy_location="Disabled")


def applications(order: PairOrder, cluster: ClusterSettings) -> dict[Role, serve.RunTarget]:
    """What is to be deployed of a pair: an application for each model, named after what it is made of."""
    gpu = _gpu()
    found: dict[Role, serve.RunTarget] = {}
    for role in ROLES:
        own = order.of(role)
        options = {
            "name": role,
            "max_ongoing_requests": ONGOING,
            "health_check_period_s": 5,
            "graceful_shutdown_timeout_s": 30,
            "ray_actor_options": {"num_cpus": cluster.cpus, "num_gpus": gpus(own, role, gpu) if gpu else 0},
            **cluster.bounds[role].options(),
        }
        name = f"{prefix(order.entry.name, role)}{_digest(own, options)}"
        application = serve.deployment(REPLICAS[role]).options(**options).bind(own)
        found[role] = serve.RunTarget(target=application, name=name, route_prefix=None)
    return found


def prefix(pair: str, role: Role) -> str:
    """The beginning of the names of all applications that hold this model of a pair."""
    return f"nla.{pair}.{role}."


def _digest(order: PairOrder, options: Mapping[str, Any]) -> str:
    """Eight hex digits that change with what a replica loads and is given."""
    return hashlib.sha256(repr((order, sorted(options.items()))).encode()).hexdigest()[:8]


def _gpu() -> Device | None:
    """A GPU of the cluster, of those that Ray gives first; None where there is none."""
    if not ray.cluster_resources().get("GPU"):
        return None
    found: list[Device] = ray.get(ray.remote(num_cpus=0, num_gpus=0.01)(devices).remote())
    return found[0]


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
    """One at a time deploys for all servers of a cluster: the second finds what the first has deployed."""

    def deploy(self, order: PairOrder, cluster: ClusterSettings) -> dict[Role, str]:
        """Deploy a pair's models as far as they are not, and delete those of before that had other settings. Returns
        the names of their applications.
        """
        wanted = applications(order, cluster)
        known = serve.status().applications
        for role in ROLES:
            old = [name for name in known if name.startswith(prefix(order.entry.name, role))]
            for name in old:
                if name != wanted[role].name or known[name].status == ApplicationStatus.DEPLOY_FAILED:
                    serve.delete(name)
                    del known[name]
        absent = [target for target in wanted.values() if target.name not in known]
        if absent:
            serve.run_many(absent, wait_for_applications_running=False)
        return {role: target.name for role, target in wanted.items()}


DeployerActor: Any = ray.remote(num_cpus=0)(Deployer)


async def deployed(
    order: PairOrder, cluster: ClusterSettings, progress: Callable[[str], None]
) -> dict[Role, str]:
    """The names of a pair's applications, once all of them run. Raises CheckpointError where one cannot."""
    actor = DeployerActor.options(name="deployer", get_if_exists=True).remote()
    names: dict[Role, str] = await actor.deploy.remote(order, cluster)
    while True:
        known = (await asyncio.to_thread(serve.status)).applications
        states = {role: known[name] for role, name in names.items() if name in known}
        for role, state in states.items():
            if state.status == ApplicationStatus.DEPLOY_FAILED:
                said = [d.message for d in state.deployments.values() if d.message] or [state.message]
                raise CheckpointError(f"The {CALLED[role]} cannot be deployed: {' '.join(said).strip()}")
        waiting = [
            role for role in names if role not in states or states[role].status != ApplicationStatus.RUNNING
        ]
        if not waiting:
            return names
        progress(f"waiting for the {' and the '.join(CALLED[role] for role in waiting)} in the cluster")
        await asyncio.sleep(LOOK)
