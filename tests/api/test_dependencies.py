"""Dependencies of routes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from server.app import create_app
from server.settings import Settings


def calls(dependant: Dependant) -> Iterator[object]:
    """Everything that is called before a route begins."""
    for inner in dependant.dependencies:
        yield inner.call
        yield from calls(inner)


def test_none_waits_for_a_thread(settings: Settings) -> None:
    """FastAPI runs a plain function in a thread of its pool: thousands of pages at once would wait for these."""
    app = create_app(settings)
    found = {call for route in app.routes if isinstance(route, APIRoute) for call in calls(route.dependant)}
    assert len(found) > 10
    assert [call for call in found if not inspect.iscoroutinefunction(call)] == []
