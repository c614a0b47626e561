"""`python -m training.examples`: the finished analyses of the demo pair with which a new data directory
begins.

They are asked for as the home page's examples ask, so that pressing one of these finds its analysis done; and
one of them has a reading that was edited.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tqdm import tqdm

from frontend.home import forms
from server.analyses.schema import Analysis
from server.app import create_app
from server.interventions.schema import InterventionRequest
from server.settings import EXAMPLES, Settings
from server.store.backup import backup

KEYS = ("multiplication", "couplet", "hiding", "capital")
EDITED, COUNTRY, OTHER = "capital", "France", "Spain"
WATCHED = [" Paris", " Madrid"]


def edit(analysis: Analysis) -> InterventionRequest:
    """Another country in the reading of the country's token, and nothing else."""
    position = next(token.position for token in analysis.tokens if token.text.strip() == COUNTRY)
    reading = next(reading for reading in analysis.readings if reading.position == position)
    return InterventionRequest(position=position, text=reading.text.replace(COUNTRY, OTHER), targets=WATCHED)


async def make(folder: Path) -> None:
    """Analyse each in a data directory of its own."""
    app = create_app(Settings(data_dir=folder, examples=False))
    async with app.router.lifespan_context(app):
        pair = await app.state.models.pair()
        for key in KEYS:
            asked = forms.request(forms.read({"example": key}))
            analysis, _ = await app.state.analyses.create(asked)
            with tqdm(desc=key, unit="reading") as bar:
                async for event in app.state.analyses.events(analysis.id):
                    if event.kind == "progress" and event.data.total:
                        bar.total = event.data.total
                        bar.update(event.data.done - bar.n)
            done = await app.state.analyses.get(analysis.id)
            if done.status != "done":
                raise SystemExit(f"{key}: {done.status}, {done.error}")
            if key == EDITED:
                made, _ = await app.state.interventions.create(done.id, edit(done))
                print(f"after the edit: {made.after.top[0][1]!r} for {made.before.top[0][1]!r}")
        print(f"{len(KEYS)} analyses of {pair.name} ({pair.fingerprint})")


def main() -> None:
    """Write the file that is shipped."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        asyncio.run(make(Path(folder)))
        backup(settings.database_file, EXAMPLES)
    print(f"{EXAMPLES}: {EXAMPLES.stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
