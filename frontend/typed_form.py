"""Forms: what was typed, as strings, with a message beside each field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

F = TypeVar("F", bound="DataclassInstance")


@dataclass(frozen=True)
class TypedForm:
    """Values of a form, as strings: whatever was typed is shown again, right or wrong. Each field has a default."""

    FOLDED: ClassVar[tuple[str, ...]] = ()
    """The fields of the settings that are folded up."""
    errors: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return str(getattr(self, name))

    @property
    def more_open(self) -> bool:
        """True if the folded settings must be seen: one of them is wrong or was changed."""
        default = type(self)()
        return any(name in self.errors or self[name] != default[name] for name in self.FOLDED)


class FormError(ValueError):
    """Some fields cannot be used; `errors` maps each to its message."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in errors.items()))
        self.errors = dict(errors)


def sent(form: type[F], fields: Mapping[str, str]) -> F:
    """A form of this kind as it was sent: of its strings, those that were."""
    names = [
        name
        for name, its in form.__dataclass_fields__.items()
        if isinstance(its.default, str) and name in fields
    ]
    typed: dict[str, Any] = {name: fields[name].replace("\r\n", "\n") for name in names}
    return form(**typed)
