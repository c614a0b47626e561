"""The guard in front of every route.

On loopback anybody on this machine may, but no foreign web page: a page elsewhere can make a browser send
requests here, under our own name (DNS rebinding: hence the check of Host) or under its own (hence the check
of Origin). Off loopback a token is demanded, as a bearer token or as the cookie that the login page sets.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.guesses import Guesses
from server.api.problems import respond_to, wants_page
from server.api.sessions import Sessions, same
from server.errors import Busy, Forbidden, NlaError, StoreUnavailable, Unauthorised
from server.jobs.clients import working_for
from server.settings import Settings, is_loopback
from server.urls import split

COOKIE = "nla_session"
_OPEN = ("/healthz", "/readyz", "/login")
_OPEN_FOLDERS = ("/static/",)
_SAFE = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """Checks Host, Origin and token before anything else sees the request, and has every answer taken for what it says
    it is.
    """

    def __init__(self, app: ASGIApp, settings: Settings, guesses: Guesses, sessions: Sessions) -> None:
        self.app = app
        self.settings = settings
        self.guesses = guesses
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        refusal = await self._refusal(scope)
        with working_for(self._client(scope)):
            await (refusal or self.app)(scope, receive, marked)

    def _client(self, scope: Scope) -> str:
        """The session of a browser; else the address that a request comes from, since scripts share the token."""
        if self.settings.token is None:
            return ""
        address, _ = scope.get("client") or ("", 0)
        return self.sessions.id_of(cookie_of(Headers(scope=scope))) or str(address)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        error: NlaError | None = self._foreign(scope["method"], headers)
        if error is not None:
            return respond_to(scope, error)
        try:
            if await self._let_in(scope["path"], headers):
                return None
            if headers.get("authorization") or cookie_of(headers):
                await self.guesses.wrong()
        except (Busy, StoreUnavailable) as busy:
            return respond_to(scope, busy)
        if wants_page(scope) and scope["method"] in _SAFE:
            query = scope["query_string"].decode("latin-1")
            here = scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
        return respond_to(
            scope,
            Unauthorised("Send the token of this server as `Authorization: Bearer …`, or log in at /login."),
        )

    def _foreign(self, method: str, headers: Headers) -> Forbidden | None:
        host = headers.get("host", "")
        if split(f"//{host}") is None:
            return Forbidden("The Host header of this request is no name of a server.")
        name = host_name(host)
        if self.settings.loopback and not (is_loopback(name) or name in self.settings.hosts):
            return Forbidden(
                f"This server listens on this machine alone, and {name or 'no name'} is not a name of it. "
                "If a proxy stands in front, put its name into NLA_ALLOWED_HOSTS."
            )
        if method in _SAFE:
            return None
        site = headers.get("sec-fetch-site")
        if site is not None and site not in {"same-origin", "none"}:
            return Forbidden("This request comes from another site's page.")
        origin = headers.get("origin")
        if site is None and origin is not None:
            sender = split(origin)
            if sender is None or sender.netloc.lower() != host.lower():
                return Forbidden("This request comes from another site's page.")
        return None

    async def _let_in(self, path: str, headers: Headers) -> bool:
        if self.settings.token is None or path in _OPEN or path.startswith(_OPEN_FOLDERS):
            return True
        token = self.settings.token.get_secret_value()
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(given.strip(), token):
            return True
        return await self.sessions.valid(cookie_of(headers))


def host_name(host: str) -> str:
    """The name in a Host header, without the port: `[::1]:8000` → `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def cookie_of(headers: Headers) -> str:
    """The value of the session's cookie; empty if there is none."""
    for line in headers.getlist("cookie"):
        try:
            morsel = SimpleCookie(line).get(COOKIE)
        except CookieError:
            continue
        if morsel is not None:
            return morsel.value
    return ""
