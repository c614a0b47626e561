"""Layout of every page, and the pages that belong to no feature: login and errors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelsContext:
    """The head line's right end: which pair, and whether it is `loading`, `ready` or `failed`.

    With `several`, another one may take its place at any time. `guarded`: visitors have logged in, and may log out.
    """

    pair: str
    state: str
    message: str
    several: bool = False
    guarded: bool = False


@dataclass(frozen=True)
class Login:
    """login.html: `next` is where to go afterwards, a path on this server."""

    error: str = ""
    next: str = "/"


@dataclass(frozen=True)
class ErrorPage:
    """error.html"""

    title: str
    status: int
    detail: str
