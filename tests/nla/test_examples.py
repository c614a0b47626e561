"""A new data directory begins with finished analyses, and they are those of the pair that is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontend.home import forms
from frontend.studies import built_in_form
from server.app import create_app
from server.nla.models.loaded_pair import LoadedPair
from server.settings import Settings
from tests.conftest import client_of
from tests.nla.test_flow import Loaded
from training.examples import EDITED, KEYS, STUDIED, edit

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


async def test_an_examples_button_finds_its_analysis_done(settings: Settings, pair: LoadedPair) -> None:
    app = create_app(settings, Loaded(pair))
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        for key in KEYS:
            asked = forms.request(forms.read({"example": key}))
            answer = await client.post("/api/analyses", json=asked.model_dump(exclude_none=True))
            assert answer.status_code == 200, "run `python -m training.examples` after changing the pair"
            found = (await client.get(f"/api/analyses/{answer.json()['id']}")).json()
            assert found["status"] == "done"
            assert all(reading["fve"] is not None for reading in found["readings"])
            assert found["tuned_lens"] is not None


async def test_one_has_a_reading_that_was_edited(settings: Settings, pair: LoadedPair) -> None:
    app = create_app(settings, Loaded(pair))
    async with app.router.lifespan_context(app):
        await app.state.models.settled()
        asked = forms.request(forms.read({"example": EDITED}))
        analysis, _ = await app.state.analyses.create(asked)
        made, existed = await app.state.interventions.create(analysis.id, edit(analysis))
    assert existed, "run `python -m training.examples` after changing the pair"
    assert (made.before.top[0][1], made.after.top[0][1]) == (" Paris", " Madrid")


async def test_the_study_that_its_form_asks_for_is_finished(settings: Settings, pair: LoadedPair) -> None:
    app = create_app(settings, Loaded(pair))
    async with app.router.lifespan_context(app), client_of(app) as client:
        await app.state.models.settled()
        asked = built_in_form.request(built_in_form.blank(STUDIED))
        answer = await client.post("/api/studies", json=asked.model_dump(exclude_none=True))
        assert answer.status_code == 200, "run `python -m training.examples` after changing the pair"
        study = (await client.get(f"/api/studies/{answer.json()['id']}")).json()
        assert (study["status"], len(study["cases"])) == ("done", asked.countries)
        for case in study["cases"]:
            assert (await client.get(f"/api/analyses/{case['analysis']}")).json()["status"] == "done"


async def test_what_was_deleted_does_not_come_back(settings: Settings, pair: LoadedPair) -> None:
    countries = int(built_in_form.blank(STUDIED).count)
    for analyses, studies in ((len(KEYS) + countries, 1), (0, 0)):
        app = create_app(settings, Loaded(pair))
        async with app.router.lifespan_context(app), client_of(app) as client:
            for path, expected in (("analyses", analyses), ("studies", studies)):
                listed = (await client.get(f"/api/{path}")).json()
                assert len(listed) == expected
                for each in listed:
                    await client.delete(f"/api/{path}/{each['id']}")


async def test_they_can_be_left_out(settings: Settings, pair: LoadedPair) -> None:
    app = create_app(settings.model_copy(update={"examples": False}), Loaded(pair))
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/api/analyses")).json() == []
        assert (await client.get("/api/studies")).json() == []
