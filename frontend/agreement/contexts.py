"""Contexts of the agreement of a token's readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.layout import ModelsContext


@dataclass(frozen=True)
class ClaimRow:
    """A claim, how many of the readings make it, and which: `3 of 8`, `1, 4, 7`."""

    text: str
    made_by: str
    which: str
    share: float


@dataclass(frozen=True)
class AgreementContext:
    """Agreement of the readings of one token, in sentences; `claims` come with the most frequent first."""

    id: str
    sentences: Sequence[str]
    claims: Sequence[ClaimRow]
    note: str = ""


@dataclass(frozen=True)
class AgreementPage:
    """The same as a page of its own."""

    title: str
    back: str
    agreement: AgreementContext
    models: ModelsContext
