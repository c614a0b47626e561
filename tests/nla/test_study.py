"""A small study of multiplication on the real demo pair, from the request to its figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.app import create_app
from server.nla.checkpoints.pairs import DEFAULT
from server.nla.models.loaded_pair import LoadedPair
from server.settings import Settings
from tests.nla.test_flow import Loaded
from tests.studies.sums import asked, made, prompts

pytestmark = [pytest.mark.anyio, pytest.mark.demo]


async def test_the_demo_pair_multiplies_and_its_digits_are_read(pair: LoadedPair, tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, pair=DEFAULT), Loaded(pair))
    async with app.router.lifespan_context(app):
        await app.state.models.settled()
        study = await made(app, asked(2, causal=True, edit_alphas=[2]))
        table = await made(
            app,
            prompts(
                rows=[{"country": "France"}, {"country": "Peru"}],
                template="The capital of {country} is",
                positions={"token": "{country}"},
                measures={"named": "names_token", "country": {"token": "{country}"}, "held": "fve"},
            ),
        )
    assert (study.status, study.error) == ("done", None)
    assert [case.answer for case in study.cases].count(None) == 0
    for case in study.cases:
        assert case.answer is not None and case.digits and case.product is not None
        assert abs(len(case.answer) - len(str(case.product))) <= 1, "a number of the right size"
        for digit in case.digits:
            assert digit.at is not None and digit.before is not None
            assert digit.digit in digit.at.token
            assert digit.at.fve is not None and digit.before.causal is not None
            assert (
                len(digit.ranks) > 20 and digit.ranks[-1] == 0
            )  # greedy: what was written is the last layer's first
            assert digit.first_layer is not None
    named = study.statistics["at"]["hints_a_digit"]
    assert named.value is not None and named.n == sum(len(case.digits) for case in study.cases)
    assert [[r.token.strip() for r in case.readings] for case in table.cases] == [["France"], ["Peru"]]
    assert table.statistics["readings"]["held"].n == 2
