"""The services in this process, without a server: for commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from server.metrics import Metrics
from server.pairs.catalogue import Catalogue
from server.pairs.model_pool import ModelPool
from server.services import Services, build_services
from server.settings import Settings
from server.store.database import Store


@asynccontextmanager
async def in_process(settings: Settings) -> AsyncIterator[Services]:
    """The services on the database of these settings, which a server may use at the same time. The models are there
    once somebody has begun to load them (`models.start`).
    """
    store = Store(settings.sqlalchemy_url)
    models = ModelPool(settings.pair, Catalogue(settings), settings.extra_pair_names)
    services = build_services(settings, store, models, Metrics())
    async with AsyncExitStack() as open_things:
        open_things.push_async_callback(store.close)
        await store.open()
        open_things.push_async_callback(models.close)
        open_things.push_async_callback(services.scheduler.close)
        for part in (
            *(services.analyses, services.interventions, services.measurements, services.studies),
            services.vector_reader,
        ):
            open_things.push_async_callback(part.close)
        yield services
