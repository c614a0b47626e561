"""Sessions: what a login gives a browser, and how it ends for every browser that has it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import SecretStr

from server.store import sessions
from server.store.database import Store

LIFETIME = timedelta(days=30)


class Sessions:
    """The sessions of a server. What a browser holds is `id.expires.proof`: the proof is an HMAC-SHA256 of the rest
    under the server's token, so another token ends all of them. Those that were ended are kept until they would have
    expired.
    """

    def __init__(self, store: Store, token: SecretStr | None) -> None:
        self._store = store
        self._key = b"" if token is None else token.get_secret_value().encode()

    def begin(self) -> str:
        """The value of a new session's cookie."""
        claim = f"{secrets.token_hex(16)}.{int((_now() + LIFETIME).timestamp())}"
        return f"{claim}.{self._proof(claim)}"

    async def valid(self, value: str) -> bool:
        """Return whether a cookie is of a session that has neither expired nor been ended. Raises StoreUnavailable."""
        found = self._read(value)
        return found is not None and not await self._store.read(partial(sessions.ended, found[0]))

    def id_of(self, value: str) -> str:
        """The id of a cookie's session; empty if it is of none, or has expired."""
        found = self._read(value)
        return "" if found is None else found[0]

    async def end(self, value: str) -> None:
        """End the session of a cookie; nothing happens if it is of none. Raises StoreUnavailable."""
        found = self._read(value)
        if found is not None:
            await self._store.write(partial(sessions.end, *found, _now()))

    def _read(self, value: str) -> tuple[str, datetime] | None:
        """The id and the end of a cookie that is ours and has not expired."""
        claim, _, proof = value.rpartition(".")
        if not self._key or not same(proof, self._proof(claim)):
            return None
        id, _, expires = claim.partition(".")
        until = datetime.fromtimestamp(int(expires), UTC)
        return (id, until) if _now() < until else None

    def _proof(self, claim: str) -> str:
        text = f"nla-explorer session {claim}".encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare two secrets in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


def _now() -> datetime:
    return datetime.now(UTC)
