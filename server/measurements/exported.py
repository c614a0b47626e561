"""An analysis with all that belongs to it, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from server.analyses.json_stream import analysis_json
from server.analyses.schema import Analysis, SiblingReadings
from server.interventions.schema import Intervention
from server.measurements.schema import Measurement


class ExportedAnalysis(Analysis):
    """An analysis with its edits and measurements, oldest first, and with what its siblings read."""

    siblings: list[SiblingReadings] = Field(default_factory=list)  # type: ignore[assignment]
    interventions: list[Intervention] = Field(default_factory=list)
    measurements: list[Measurement] = Field(default_factory=list)


async def exported_json(
    analysis: Analysis,
    siblings: Sequence[SiblingReadings],
    edits: Sequence[Intervention],
    measurements: Sequence[Measurement],
) -> bytes:
    """An `ExportedAnalysis` as JSON."""
    return await analysis_json(analysis, siblings=siblings, interventions=edits, measurements=measurements)
