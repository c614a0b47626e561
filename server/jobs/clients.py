"""Clients: who asks for work, so that one who asks for much does not keep the others waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_client: ContextVar[str] = ContextVar("client", default="")


def current_client() -> str:
    """The client that this task works for: a session, or an address of the network. Empty where clients are not told
    apart: on a server without a token, and for what a server takes up by itself.
    """
    return _client.get()


@contextmanager
def working_for(client: str) -> Iterator[None]:
    """Have this task, and those that it begins, work for a client."""
    before = _client.set(client)
    try:
        yield
    finally:
        _client.reset(before)
