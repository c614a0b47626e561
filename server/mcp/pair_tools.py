"""A tool that lists the pairs."""

from __future__ import annotations

from pydantic import Field

from server.mcp.answers import LIMIT, SHORT_TEXT, Answer, Part, how_many
from server.mcp.links import AnyContext, Links
from server.pairs.about import known_pairs
from server.services import Services


class PairPart(Part):
    """A target with its AV and AR."""

    name: str
    layer: int | None = Field(default=None, description="The block whose output is read.")
    d_model: int | None = None
    configured: bool = Field(description="Analyses may ask for it.")
    resident: bool = Field(description="It is the one in memory.")
    state: str | None = Field(default=None, description="Of the resident one: loading, ready or failed.")
    message: str | None = Field(default=None, description="What is being loaded, or why that failed.")
    trust: str | None = Field(
        default=None, description="What its makers say of its readings: which parts are right, how often."
    )


class PairsAnswer(Answer):
    """The pairs that are known here; only those that are configured can be used."""

    pairs: list[PairPart]


class PairTools:
    """Lists the pairs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def pairs(self, context: AnyContext) -> PairsAnswer:
        """List the pairs of target, AV and AR, and whether the one in memory is ready."""
        models = self._services.models
        found = [
            PairPart(
                name=pair.name,
                layer=pair.layer,
                d_model=pair.d_model,
                configured=pair.configured,
                resident=pair.resident,
                state=pair.state,
                message=models.message if pair.resident and models.state != "ready" else None,
                trust=pair.card.readings or None if pair.configured and pair.card else None,
            )
            for pair in await known_pairs(models, self._services.analyses.cards)
        ]
        found.sort(key=lambda pair: (not pair.resident, not pair.configured))
        shown = how_many(found, LIMIT - 3 * SHORT_TEXT)
        left = len(found) - shown
        return PairsAnswer(
            permalink=Links(context, self._services.settings).home(),
            note=f"{left} more that are not configured were left out." if left else None,
            pairs=found[:shown],
        )
