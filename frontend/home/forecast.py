"""Words for a forecast."""

from __future__ import annotations

from frontend import formatting
from server.analyses.forecast import Forecast
from server.analyses.schema import AnalysisRequest


def forecast_words(forecast: Forecast, request: AnalysisRequest) -> str:
    """`87 of at most 2,000 tokens; up to 119 readings, about 40 s`. `up to`, since a reply may end early."""
    count = formatting.counted(forecast.readings, "reading")
    words = f"{forecast.tokens:,} of at most {forecast.limit:,} tokens; {'up to ' if request.generate else ''}{count}"
    time = formatting.duration(forecast.seconds)
    return f"{words}, {time}" if time else words
