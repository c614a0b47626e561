"""Statistics as they are told: each with its interval and its null, several comparisons corrected together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from server.studies.resampling import LEAST_CLUSTERS, Estimate, holm
from server.studies.schema import Figures, Null, Statistic


def statistic(estimate: Estimate, cases: int) -> Statistic:
    """An estimate over the numbers of so many cases."""
    null = None
    if estimate.null_value is not None:
        null = Null(value=estimate.null_value, interval=estimate.null_interval)
    return Statistic(
        value=estimate.value,
        interval=estimate.interval,
        null=null,
        n=estimate.n,
        cases=cases,
        p=estimate.p,
    )


def count(clusters: Sequence[Hashable], there: Sequence[bool]) -> int:
    """The number of clusters that have anything there."""
    return len({cluster for cluster, kept in zip(clusters, there, strict=True) if kept})


def corrected(groups: Mapping[str, Mapping[str, Statistic]], notes: Sequence[str], cases: int) -> Figures:
    """The groups with their p-values corrected, and what has to be said of all of them."""
    places = [(group, name) for group in groups for name in groups[group]]
    found = holm([groups[group][name].p for group, name in places])
    told = {group: dict(named) for group, named in groups.items()}
    for (group, name), p in zip(places, found, strict=True):
        told[group][name] = told[group][name].model_copy(update={"p_corrected": p})
    comparisons = sum(p is not None for p in found)
    said = list(notes)
    if comparisons > 1:
        said.append(f"The p-values of {comparisons} comparisons are corrected together by Holm's method.")
    if 0 < cases < LEAST_CLUSTERS:
        said.append(f"Fewer than {LEAST_CLUSTERS} cases: there are no intervals.")
    return Figures(statistics=told, comparisons=comparisons, notes=said)
