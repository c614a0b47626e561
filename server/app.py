"""The house: wires the rooms together."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from server import __version__
from server.analyses.service import Analyses
from server.api import analyses, docs, exports, health, interventions, login, pairs, problems, vectors
from server.api.guard import Guard
from server.api.limits import BodyLimit
from server.interventions.service import Interventions
from server.metrics import AvFigures, Metrics
from server.pairs.catalogue import Catalogue, PairSource
from server.pairs.model_pool import ModelPool
from server.settings import DEFAULT_PAIR, EXAMPLES, Settings
from server.store.database import Store
from server.store.lock import lock_data_dir

STATIC = Path(__file__).resolve().parent.parent / "static"


def create_app(settings: Settings | None = None, source: PairSource | None = None) -> FastAPI:
    """The app. `source` says where pairs come from (the catalogue, unless a test brings its own).

    On `app.state`: settings, store, models, analyses, interventions, metrics, and `page` (renders a template;
    None without a frontend). The models load behind the server's back once it is up; until then analyses are
    queued.
    """
    settings = settings or Settings()
    settings.check()
    app = FastAPI(
        title="nla-explorer",
        version=__version__,
        description="What each activation of a language model says, token by token.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    state = app.state
    state.settings = settings
    state.metrics = Metrics()
    demo = settings.examples and settings.pair == DEFAULT_PAIR
    state.store = Store(settings.url, EXAMPLES if demo else None)
    state.models = ModelPool(settings.pair, source or Catalogue(settings), settings.further)
    state.metrics.registry.register(AvFigures(state.models.counters))
    state.analyses = Analyses(state.store, state.models, settings, state.metrics)
    state.interventions = Interventions(state.analyses, state.store, state.models, settings)
    state.page = None
    problems.install(app)
    for room in (analyses, interventions, exports, pairs, vectors, health, login, docs):
        app.include_router(room.router)
    _add_pages(app)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(Guard, settings=settings)
    return app


def _add_pages(app: FastAPI) -> None:
    static = StaticFiles(directory=STATIC, check_dir=False)
    app.mount("/static", GZipMiddleware(static), name="static")
    if importlib.util.find_spec("frontend") is not None:
        for feature in ("home", "library", "analysis", "edits", "lens", "compare"):
            app.include_router(importlib.import_module(f"frontend.{feature}.routes").router)
        app.state.page = importlib.import_module("frontend.templating").page


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state
    async with AsyncExitStack() as open_things:
        if state.settings.database_url is None:
            open_things.enter_context(lock_data_dir(state.settings.data_dir))
        open_things.push_async_callback(state.store.close)
        await state.store.open()
        open_things.push_async_callback(state.models.close)
        state.models.start()
        open_things.push_async_callback(state.analyses.close)
        state.analyses.resume()
        open_things.push_async_callback(state.interventions.close)
        yield
