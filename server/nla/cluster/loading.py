"""A pair whose models stand in the cluster, as a server asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ray import serve

from server.nla.checkpoints.checks.numbers import require_like_embeddings
from server.nla.checkpoints.pairs import ROLES, PairEntry, Role
from server.nla.cluster.bounds import ClusterSettings
from server.nla.cluster.clients import (
    ClusterReconstructor,
    ClusterTarget,
    ClusterVerbaliser,
    ModelClient,
)
from server.nla.cluster.deployments import CALLED, connect, deployed
from server.nla.cluster.replicas import ModelFacts, PairOrder, TargetFacts, VerbaliserFacts
from server.nla.cluster.watch import ReplicaWatch
from server.nla.models.loaded_pair import LoadedPair
from server.nla.models.parts import made_with
from server.nla.verbalisers.factory import Serving


async def load(
    entry: PairEntry,
    *,
    cache_dir: Path,
    serving: Serving,
    cluster: ClusterSettings,
    progress: Callable[[str], None],
) -> LoadedPair:
    """Deploy a pair where it is not deployed yet, and ask for what a server must know of it. Raises CheckpointError or
    SettingsError with cause and cure.
    """
    progress("joining the Ray cluster")
    await asyncio.to_thread(connect, cluster.address)
    names = await deployed(PairOrder(entry, cache_dir, serving), cluster, progress)
    clients: dict[Role, ModelClient] = {
        role: ModelClient(CALLED[role], serve.get_app_handle(names[role])) for role in ROLES
    }
    target: TargetFacts = await clients["target"].ask("facts")
    av: VerbaliserFacts = await clients["av"].ask("facts")
    ar: ModelFacts = await clients["ar"].ask("facts")
    facts: dict[Role, ModelFacts] = {"target": target, "av": av, "ar": ar}
    require_like_embeddings(entry.name, {role: known.embedding for role, known in facts.items()})
    precision = {role: known.kind for role, known in facts.items()}
    fingerprint: str = await clients["target"].ask("fingerprint", precision)
    most = cluster.bounds["av"].most
    # One that may be scaled to none is started by the next call.
    kept = {CALLED[role]: names[role] for role in ROLES if cluster.bounds[role].least}
    verbaliser = ClusterVerbaliser(clients["av"], av, most, ReplicaWatch(kept))
    await verbaliser.open()
    return LoadedPair(
        name=entry.name,
        layer=target.layer,
        d_model=target.d_model,
        variance=entry.fve_variance,
        prompter=target.prompter,
        target=ClusterTarget(clients["target"], target),
        verbaliser=verbaliser,
        reconstructor=ClusterReconstructor(clients["ar"]),
        versions=made_with(target.versions, av.engine, precision),
        fingerprint=fingerprint,
        capacity=cluster.capacity(av.max_concurrency),
    )
