"""`python -m training.examples`: the finished analyses and the finished study of the demo pair with which a new data
directory begins.

They are asked for as the pages ask, so that whoever presses an example of the home page, or starts the study as its
form stands, finds it done; and one analysis has a reading that was edited.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from tqdm import tqdm

from frontend.home import forms
from frontend.studies import built_in_form
from server.analyses.schema import Analysis
from server.app import create_app
from server.interventions.schema import InterventionRequest
from server.settings import EXAMPLES, Settings
from server.store.backup import backup

KEYS = ("multiplication", "couplet", "hiding", "capital")
EDITED, COUNTRY, OTHER = "capital", "France", "Spain"
WATCHED = [" Paris", " Madrid"]
STUDIED = "capitals"


def edit(analysis: Analysis) -> InterventionRequest:
    """Another country in the reading of the country's token, and what it reads like with it: the AV's own words there
    are of something else.
    """
    position = next(token.position for token in analysis.tokens if token.text.strip() == COUNTRY)
    reading = next(reading for reading in analysis.readings if reading.position == position)
    known, _, _ = reading.text.replace(COUNTRY, OTHER).partition(" It reads like ")
    text = f'{known} It reads like "What is the capital of {OTHER}".'
    return InterventionRequest(position=position, text=text, targets=WATCHED)


async def shown(title: str, unit: str, events: AsyncIterable[Any]) -> None:
    """Show how far it is until it ends."""
    with tqdm(desc=title, unit=unit) as bar:
        async for event in events:
            if event.kind == "progress" and event.data.total:
                bar.total = event.data.total
                bar.update(event.data.done - bar.n)


async def analyse(app: FastAPI, key: str) -> None:
    """Make the analysis of an example, and the edit of the one that has one."""
    analysis, _ = await app.state.analyses.create(forms.request(forms.read({"example": key})))
    await shown(key, "reading", app.state.analyses.events(analysis.id))
    done = await app.state.analyses.get(analysis.id)
    if done.status != "done":
        raise SystemExit(f"{key}: {done.status}, {done.error}")
    if key == EDITED:
        made, _ = await app.state.interventions.create(done.id, edit(done))
        print(f"after the edit: {made.after.top[0][1]!r} for {made.before.top[0][1]!r}")


async def study(app: FastAPI) -> None:
    """Make the study."""
    id, _ = await app.state.studies.submit(built_in_form.request(built_in_form.blank(STUDIED)))
    await shown(STUDIED, "case", app.state.studies.events(id))
    done = await app.state.studies.get(id)
    if done.status != "done":
        raise SystemExit(f"the study: {done.status}, {done.error}")
    print(f"{done.title}: {done.url}, {done.seconds:.0f} s")


async def make(folder: Path) -> None:
    """Make all of them in a data directory."""
    app = create_app(Settings(data_dir=folder, examples=False))
    async with app.router.lifespan_context(app):
        pair = await app.state.models.pair()
        for key in KEYS:
            await analyse(app, key)
        await study(app)
        print(f"{len(KEYS)} analyses and a study of {pair.name} ({pair.fingerprint})")


def main() -> None:
    """Write the file that is shipped."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        asyncio.run(make(Path(folder)))
        backup(settings.database_file, EXAMPLES)
    print(f"{EXAMPLES}: {EXAMPLES.stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
