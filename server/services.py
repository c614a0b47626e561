"""Services of one process, wired together: behind the pages, the JSON API, the tools of agents, and the commands."""

from __future__ import annotations

from dataclasses import dataclass

from server.analyses.service import Analyses
from server.interventions.service import Interventions
from server.jobs.scheduler import Scheduler
from server.measurements.service import Measurements
from server.metrics import Metrics
from server.notebooks.service import Notebooks
from server.pairs.model_pool import ModelPool
from server.settings import Settings
from server.store.database import Store
from server.studies.service import Studies
from server.vectors.readings import VectorReader
from server.vectors.service import Vectors


@dataclass(frozen=True)
class Services:
    """The services on one database and one pool of models."""

    settings: Settings
    models: ModelPool
    scheduler: Scheduler
    analyses: Analyses
    interventions: Interventions
    measurements: Measurements
    studies: Studies
    vectors: Vectors
    vector_reader: VectorReader
    notebooks: Notebooks


def build_services(settings: Settings, store: Store, models: ModelPool, metrics: Metrics) -> Services:
    """Build the services; neither the store nor the models need be open yet."""
    scheduler = Scheduler(store, models, client_share=settings.max_client_share, max_calls=settings.max_calls)
    analyses = Analyses(scheduler, store, models, settings, metrics)
    interventions = Interventions(scheduler, analyses, store, models, settings, metrics)
    measurements = Measurements(scheduler, analyses, store, models, settings, metrics)
    studies = Studies(scheduler, analyses, measurements, interventions, store, models, settings, metrics)
    return Services(
        settings,
        models,
        scheduler,
        analyses,
        interventions,
        measurements,
        studies,
        Vectors(scheduler, analyses, store, models),
        VectorReader(scheduler, store, models, settings, metrics),
        Notebooks(store, analyses, interventions, measurements, studies),
    )
