"""Application factory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles

from frontend.agreement import routes as agreement_pages
from frontend.analysis import routes as analysis_pages
from frontend.causal import routes as causal_pages
from frontend.compare import routes as compare_pages
from frontend.edits import routes as edit_pages
from frontend.home import routes as home_pages
from frontend.lens import routes as lens_pages
from frontend.library import routes as library_pages
from frontend.notebooks import routes as notebook_pages
from frontend.pairs import routes as pair_pages
from frontend.shared_streams import SharedStreams
from frontend.studies import routes as study_pages
from frontend.templating import page
from frontend.vectors import routes as vector_pages
from frontend.words import routes as word_pages
from server import __version__
from server.api import (
    agents,
    analyses,
    docs,
    exports,
    health,
    interventions,
    limits,
    login,
    measurements,
    models,
    notebooks,
    pairs,
    problems,
    reading_tests,
    studies,
    vectors,
)
from server.api.body_limit import BodyLimit
from server.api.guard import Guard
from server.api.guesses import Guesses
from server.api.openapi import describe
from server.api.sessions import Sessions
from server.metrics import AvFigures, Metrics
from server.pairs.catalogue import Catalogue, PairSource
from server.pairs.model_pool import ModelPool
from server.services import build_services
from server.settings import DEFAULT_PAIR, EXAMPLES, Settings
from server.store.database import Store
from server.store.lock import lock_data_dir

ROUTERS = (
    analyses,
    interventions,
    measurements,
    reading_tests,
    studies,
    exports,
    pairs,
    limits,
    models,
    vectors,
    notebooks,
    health,
    login,
    docs,
    home_pages,
    library_pages,
    analysis_pages,
    agreement_pages,
    causal_pages,
    edit_pages,
    lens_pages,
    compare_pages,
    vector_pages,
    word_pages,
    study_pages,
    notebook_pages,
    pair_pages,
)
STATIC = Path(__file__).resolve().parent.parent / "static"


def create_app(settings: Settings | None = None, source: PairSource | None = None) -> FastAPI:
    """The app. `source` says where pairs come from (the catalogue, unless a test brings its own).

    On `app.state`: settings, store, sessions, models, scheduler, analyses, interventions, measurements, studies,
    vectors, vector_reader, notebooks, agents, metrics, guesses, `page` (renders a template) and `page_streams`. The
    models load in the background once the server is up; until then analyses are queued.
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
    state.guesses = Guesses()
    demo = settings.examples and settings.pair == DEFAULT_PAIR
    state.store = Store(settings.sqlalchemy_url, EXAMPLES if demo else None)
    state.sessions = Sessions(state.store, settings.token)
    state.models = ModelPool(settings.pair, source or Catalogue(settings), settings.extra_pair_names)
    state.metrics.registry.register(AvFigures(state.models.counters))
    services = build_services(settings, state.store, state.models, state.metrics)
    for name in (
        *("scheduler", "analyses", "interventions", "measurements"),
        *("studies", "vectors", "vector_reader", "notebooks"),
    ):
        setattr(state, name, getattr(services, name))
    state.agents = agents.Agents(services)
    state.page = page
    state.page_streams = SharedStreams(state.metrics.watchers)
    problems.install(app)
    describe(app)
    app.router.routes.extend(_routes())
    app.router.routes.append(Route(agents.PATH, state.agents, methods=["POST"]))
    app.mount("/static", GZipMiddleware(StaticFiles(directory=STATIC)), name="static")
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(Guard, settings=settings, guesses=state.guesses, sessions=state.sessions)
    return app


def stop_streams(app: FastAPI) -> None:
    """End every event stream, so that the server can end; watchers come back with their last id."""
    state = app.state
    for service in (
        *(state.analyses, state.interventions, state.measurements, state.studies),
        state.vector_reader,
    ):
        service.stop_streams()


@cache
def _routes() -> list[BaseRoute]:
    """Return the routes of API and pages. They hold nothing of an app, and to put them together takes 0.2 s."""
    all_routes = APIRouter()
    for module in ROUTERS:
        all_routes.include_router(module.router)
    return all_routes.routes


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
        open_things.push_async_callback(state.scheduler.close)
        state.scheduler.open()
        open_things.push_async_callback(state.analyses.close)
        state.analyses.open()
        open_things.push_async_callback(state.interventions.close)
        open_things.push_async_callback(state.measurements.close)
        open_things.push_async_callback(state.vector_reader.close)
        open_things.push_async_callback(state.agents.close)
        open_things.push_async_callback(state.studies.close)
        yield
