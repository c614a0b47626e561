"""Facts of each pair of the catalogue: where it is, how it stands on this server, and its card."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from server.errors import NotFound
from server.nla.checkpoints.card import PairCard
from server.nla.checkpoints.cards import Cards
from server.pairs.model_pool import ModelPool

ROLES = ("target", "av", "ar")


class Pair(BaseModel):
    """One target with its AV and AR. A path is null until it is on disk.

    `configured`: analyses may ask for it. `resident` names the one that the server holds, and `state` says how that is:
    loading, ready or failed.
    """

    name: str
    target_path: str | None
    av_path: str | None
    ar_path: str | None
    layer: int | None
    d_model: int | None
    configured: bool
    resident: bool
    state: str | None = None


class AboutPair(Pair):
    """Everything that is known of one pair.

    `sources` are folders or hub names, by role; `gigabytes` what the weights of each take in bfloat16;
    `fve_variance` is V, which FVE is against; `card` is what the pair's makers say of it.
    """

    sources: dict[str, str] = Field(default={})
    gigabytes: dict[str, int] | None = None
    licence: str | None = None
    gated: bool = False
    fve_variance: float | None = None
    card: PairCard | None = None


async def known_pairs(models: ModelPool, cards: Cards) -> list[AboutPair]:
    """All pairs of the catalogue."""
    return await asyncio.to_thread(_known, models, cards)


async def about_pair(name: str, models: ModelPool, cards: Cards) -> AboutPair:
    """One pair of the catalogue. Raises NotFound."""
    known = await known_pairs(models, cards)
    for pair in known:
        if pair.name == name:
            return pair
    names = ", ".join(pair.name for pair in known)
    raise NotFound(f"There is no pair named {name!r:.100}. Known are: {names}.")


def _known(models: ModelPool, cards: Cards) -> list[AboutPair]:
    return [_about(models, cards, entry) for entry in models.source.describe()]


def _about(models: ModelPool, cards: Cards, entry: Mapping[str, Any]) -> AboutPair:
    paths = {f"{role}_path": entry.get(f"{role}_path") for role in ROLES}
    resident = entry["name"] == models.name
    more = {field: entry[field] for field in AboutPair.model_fields if field in entry}
    return AboutPair.model_validate(
        more
        | {role: None if path is None else str(path) for role, path in paths.items()}
        | {
            "configured": entry["name"] in models.names,
            "resident": resident,
            "state": models.state if resident else None,
            "card": cards.get(entry["name"]),
        }
    )
