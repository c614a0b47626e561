"""One exception tree.

Whatever goes wrong for a reason that can be told is an `NlaError`; `server.api.problems` turns every one of
them into problem JSON or a page. The text of an error names the cause and, where there is one, the cure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """The error of one field of a request, named with dots: `messages.0.role`, `positions.3`."""

    field: str
    detail: str


class NlaError(Exception):
    """The root.

    `status` is the HTTP status, `title` the kind of problem, `detail` this one, `errors` the fields at fault.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, errors: Iterable[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        """The same error in another process, whatever its class takes."""
        return _again, (type(self), self.args, self.__dict__)

    @property
    def field(self) -> str | None:
        """The first field at fault, if any."""
        return self.errors[0].field if self.errors else None


def _again(kind: type[NlaError], args: tuple[Any, ...], state: dict[str, Any]) -> NlaError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class BadInput(NlaError):
    """A request that can be understood but not done. Takes the field and what is wrong with it."""

    status = 422
    title = "The request cannot be used as it is"

    def __init__(self, field: str, detail: str, *more: FieldError) -> None:
        super().__init__(detail, errors=(FieldError(field, detail), *more))


class PromptError(BadInput, ValueError):
    """Messages or text that cannot become a prompt of this model."""


class NotFound(NlaError):
    """Nothing has this address."""

    status = 404
    title = "There is nothing here"


class Conflict(NlaError):
    """The thing exists, but its state does not allow this."""

    status = 409
    title = "Not in this state"


class Forbidden(NlaError):
    """Refused whoever asks: a foreign page's form, a host name that is not ours."""

    status = 403
    title = "Refused"


class Unauthorised(NlaError):
    """The token is missing or wrong."""

    status = 401
    title = "A token is needed"


class TooLarge(NlaError):
    """The body is larger than this server reads."""

    status = 413
    title = "The request is too large"


class TooSlow(NlaError):
    """The body does not come."""

    status = 408
    title = "The request came too slowly"


class ClientLeft(NlaError):
    """Nobody waits for the answer any more; the status is nginx's, for the log alone."""

    status = 499
    title = "The client left"


class NotReady(NlaError):
    """The models are still loading, or could not be loaded; the detail says which."""

    status = 503
    title = "The models are not ready"


class NotInstalled(NlaError):
    """A package is wanted that this server can do without; the detail says how to install it."""

    status = 501
    title = "A part of this server is not installed"


class Busy(NlaError):
    """The queue is full: as much as this server takes at a time is being done or waits; the detail says of what."""

    status = 429
    title = "The server is busy"


class Interrupted(NlaError):
    """The server ends before the work is done; it goes on with it at its next start."""

    status = 503
    title = "The server is ending"


class ModelError(NlaError):
    """A model that is loaded failed at its work."""

    title = "A model failed"


class CheckpointError(NlaError):
    """A checkpoint breaks the NLA contract: refused at start, with cause and cure.

    `check` names which of the checks of `nla-explorer pairs check` found it; it stands before the detail.
    """

    title = "A checkpoint cannot be used"

    def __init__(self, detail: str, *, check: str | None = None) -> None:
        super().__init__(detail if check is None else f"{check}: {detail}")
        self.check = check


class SettingsError(NlaError):
    """The server cannot start with these settings; the detail says what to change."""

    title = "The settings do not fit together"


class StoreUnavailable(NlaError):
    """The database cannot be read or written at the moment: locked, full, read-only, or out of reach. Asked
    again later, it may well be.
    """

    status = 503
    title = "The database cannot be used at the moment"


class Unreadable(NlaError):
    """The rows kept under this address are damaged, or of a version that this one cannot read."""

    title = "This analysis cannot be read"


class StoreError(NlaError):
    """The database cannot be used: of a newer version, damaged, held by another server."""

    title = "The database cannot be used"
