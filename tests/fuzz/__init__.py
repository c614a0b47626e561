"""Properties that hypothesis tries to break."""

from __future__ import annotations

from hypothesis import settings

steady = settings(derandomize=True, database=None, deadline=None)
"""The same examples in every run, however slow the machine. It is no profile of all tests, since those of the engines
run without hypothesis.
"""
