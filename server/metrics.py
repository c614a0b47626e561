"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


_AV = {
    "prompt_tokens": "Tokens of AV prompts.",
    "cached_tokens": "Tokens of AV prompts whose keys and values came out of the prefix cache.",
    "reading_tokens": "Tokens that the AV wrote.",
    "restarts": "How often the AV's engine died and was started again.",
}


class AvFigures(Collector):
    """Counters of the AV's engine, asked for when somebody looks."""

    def __init__(self, counters: Callable[[], dict[str, float]]) -> None:
        self._counters = counters

    def collect(self) -> Iterator[CounterMetricFamily]:
        for name, value in self._counters().items():
            yield CounterMetricFamily(f"nla_av_{name}", _AV[name], value=value)


class Metrics:
    """One registry for one app, so that two apps in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.asked = Counter(
            "nla_analyses_asked",
            "Analyses asked for, by whether they existed.",
            ["existed"],
            registry=self.registry,
        )
        self.ended = Counter(
            "nla_analyses_ended", "Analyses that ended, by how.", ["status"], registry=self.registry
        )
        self.readings = Counter(
            "nla_readings", "Readings made, by whether they failed.", ["failed"], registry=self.registry
        )
        self.running = Gauge("nla_analyses_running", "Analyses at work.", registry=self.registry)
        self.waiting = Gauge(
            "nla_analyses_waiting", "Analyses that wait for their turn.", registry=self.registry
        )
        self.edits_running = Gauge("nla_edits_running", "Edits being made.", registry=self.registry)
        self.edits_waiting = Gauge(
            "nla_edits_waiting", "Edits that wait for their turn.", registry=self.registry
        )
        self.measurements_running = Gauge(
            "nla_measurements_running", "Measurements being made.", registry=self.registry
        )
        self.measurements_waiting = Gauge(
            "nla_measurements_waiting", "Measurements that wait for their turn.", registry=self.registry
        )
        self.vector_readings_running = Gauge(
            "nla_vector_readings_running", "Readings of vectors being made.", registry=self.registry
        )
        self.vector_readings_waiting = Gauge(
            "nla_vector_readings_waiting",
            "Readings of vectors that wait for their turn.",
            registry=self.registry,
        )
        self.studies_running = Gauge("nla_studies_running", "Studies at work.", registry=self.registry)
        self.studies_waiting = Gauge(
            "nla_studies_waiting", "Studies that wait for their turn.", registry=self.registry
        )
        self.watchers = Gauge("nla_watchers", "Open event streams.", registry=self.registry)
        self.ready = Gauge("nla_models_ready", "1 when the models are resident.", registry=self.registry)
        self.seconds = Histogram(
            "nla_stage_seconds",
            "Seconds from the start of an analysis to each stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
