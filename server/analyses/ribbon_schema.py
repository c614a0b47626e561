"""The ribbon of an analysis, as the API has it."""

from __future__ import annotations

from typing import Literal

from server.schema import ResponseModel


class Held(ResponseModel):
    """Mean scores of `n` tokens, each that of its scored readings."""

    n: int
    fve: float | None
    cos: float | None


class RibbonLine(ResponseModel):
    """The distinctive part of a token's reading, in a few of its own words; empty where the reading failed or is
    still to come. `template`: a token of the chat template or a special one.
    """

    position: int
    token: str
    text: str
    template: bool
    state: Literal["read", "failed", "unread"]
    held: Held


class RibbonSpan(ResponseModel):
    """Neighbouring tokens whose readings agree: `words` stand in all of them. `weight`: how unlikely that is by chance,
    in nats; see `server.analyses.spans`.
    """

    first: int
    last: int
    text: str
    words: list[str]
    weight: float
    held: Held


class RibbonTurn(ResponseModel):
    """One speaker's turn: the tokens from first to last, without those of the template."""

    first: int
    last: int
    role: str
    kind: Literal["prompt", "generated"]
    held: Held


class Ribbon(ResponseModel):
    """One line a token along the text. `merged`: tokens that stand in spans; `merged_by_chance`: how many would, in the
    mean, if the same readings stood in another order.
    """

    analysis: str
    url: str
    pair: str
    layer: int | None
    lines: list[RibbonLine]
    spans: list[RibbonSpan]
    turns: list[RibbonTurn]
    merged: int
    merged_by_chance: float
