"""The login page: a token in, a cookie out."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from server.api.guard import COOKIE, cookie_of
from server.api.sessions import LIFETIME, same
from server.urls import split

router = APIRouter(include_in_schema=False)


@router.get("/login")
async def login_page(request: Request) -> Response:
    """Ask for the token."""
    return _page(request, _inside(request.query_params.get("next", "/")))


@router.post("/login")
async def login(request: Request) -> Response:
    """Check the token; on success set the cookie and go where the visitor wanted to go."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    following = _inside(form.get("next", ["/"])[0])
    token = request.app.state.settings.token
    if token is None:
        return RedirectResponse(following, 303)
    if not same(form.get("token", [""])[0].strip(), token.get_secret_value()):
        await request.app.state.guesses.wrong()
        return _page(request, following, "This is not the token of this server.", 401)
    response = RedirectResponse(following, 303)
    response.set_cookie(
        COOKIE,
        request.app.state.sessions.begin(),
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session: its cookie opens nothing any more, wherever it is."""
    await request.app.state.sessions.end(cookie_of(request.headers))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response


def _inside(target: str) -> str:
    """An address on this server, never on another."""
    parts = split(target)
    rooted = target.startswith("/") and not target.startswith("//")
    local = rooted and parts is not None and not parts.scheme and not parts.netloc
    return target if local and target.isprintable() and "\\" not in target else "/"


def _page(request: Request, following: str, error: str = "", status: int = 200) -> Response:
    made: Response = request.app.state.page("login.html", {"next": following, "error": error}, status=status)
    return made
