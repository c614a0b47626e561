"""Everything that is promised of studies is promised on either database."""

from __future__ import annotations

import pytest

from tests.analyses.conftest import settings as settings
from tests.fakes import FakeSource
from tests.studies.sums import multiplying


@pytest.fixture
def source() -> FakeSource:
    """A pair that multiplies."""
    return multiplying()
