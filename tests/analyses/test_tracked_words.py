"""Words along the text: the measurement, its id, and what it is set beside."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from server.errors import BadInput
from server.measurements.schema import MeasurementRequest
from server.settings import Settings
from tests.analyses.asking import analyses_of, chat, finish
from tests.analyses.test_measurements import made, measurements_of
from tests.conftest import client_of, running
from tests.fakes import LAYERS, FakeSource

pytestmark = pytest.mark.anyio


async def test_a_word_is_measured_in_both_variants(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app:
        analysis = await finish(analyses_of(app), chat())
        found = await made(app, analysis.id, kind="word", word="at")
        assert found.word is not None and found.word.layers == list(range(LAYERS))
        assert found.url == f"/a/{analysis.id}/word?word=at"
        plain, spaced = found.word.variants
        assert (plain.word, plain.parts, plain.variant) == ("at", ["a", "t"], "plain")
        assert (spaced.word, spaced.parts, spaced.variant) == (" at", [" ", "a", "t"], "space")
        count = len(analysis.tokens)
        np.testing.assert_allclose(spaced.prob[-1], 0.5 * np.arange(1, count + 1) / count, rtol=1e-4)
        np.testing.assert_allclose(plain.whole, np.square(plain.prob[-1]), rtol=1e-4)
        assert plain.rank[0] == list(range(count))
        assert await measurements_of(app).words(analysis.id) == ["at"]
        again, there = await measurements_of(app).submit(
            analysis.id, MeasurementRequest.model_validate({"kind": "word", "word": "at"})
        )
        assert (again, there) == (found.id, True)


async def test_what_was_measured_before_there_were_words_keeps_its_id(settings: Settings) -> None:
    """The id of a version without `word` and `lens`, calculated there for the same analysis and request."""
    from server.analyses.content_id import digest, short

    async with running(settings, FakeSource()) as app:
        analysis = await finish(analyses_of(app), chat())
        fields = {"kind": "form", "horizon": 4, "seed": 0, "position": None, "sample": 0, "texts": []}
        fields |= {"reword": False, "language": "French", "test": None, "positions": None}
        assert (await made(app, analysis.id, kind="form")).id == short(digest([1, analysis.id, fields]))


@pytest.mark.parametrize(
    ("request_", "field", "reason"),
    [
        ({"kind": "word"}, "word", "Say which word"),
        ({"kind": "word", "word": "a", "position": 3}, "position", "leave position out"),
        ({"kind": "causal", "word": "a"}, "word", "leave word out"),
        ({"kind": "word", "word": "a", "lens": "tuned"}, "lens", "has no tuned lens"),
    ],
)
async def test_what_does_not_go_together_is_refused(
    request_: dict[str, object], field: str, reason: str, settings: Settings
) -> None:
    async with running(settings, FakeSource()) as app:
        analysis = await finish(analyses_of(app), chat())
        with pytest.raises(BadInput, match=reason) as caught:
            await made(app, analysis.id, **request_)
        assert caught.value.field == field


async def test_mentions_are_counted_before_and_after_the_word_and_in_other_texts(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app, client_of(app) as client:
        other = await finish(analyses_of(app), chat("Dogs bark."))
        analysis = await finish(analyses_of(app), chat())
        some = analysis.readings[3]
        word = max(some.text.split(), key=len)
        found = (await client.get(f"/api/analyses/{analysis.id}/mentions", params={"word": word})).json()
        having = [r for r in analysis.readings if word.casefold() in r.text.casefold().split()]
        assert {(m["position"], m["sample"]) for m in found["readings"]} >= {
            (r.position, r.sample) for r in having
        }
        assert (some.position, some.sample) in {(m["position"], m["sample"]) for m in found["readings"]}
        assert found["before"]["of"] + found["after"]["of"] == len(analysis.readings)
        assert found["before"]["n"] + found["after"]["n"] == len(found["readings"])
        assert found["elsewhere"]["of"] == len(other.readings)
        for bad in ({}, {"word": ""}, {"word": "x" * 101}):
            answer = await client.get(f"/api/analyses/{analysis.id}/mentions", params=bad)
            assert answer.status_code == 422 and "word" in answer.text


async def test_the_text_itself_is_searched(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app:
        analysis = await finish(analyses_of(app), chat("A cat, a Cat."))
        found = await measurements_of(app).mentions(analysis.id, " cat")
        text = "".join(token.text for token in analysis.tokens)
        first = text.index("cat")
        starts = np.cumsum([0, *(len(token.text) for token in analysis.tokens)])
        assert starts[found.written[0]] <= first < starts[found.written[0] + 1]
        assert len(found.written) == 2
        nowhere = await measurements_of(app).mentions(analysis.id, "zebra")
        assert nowhere.written == [] and nowhere.after.of == 0
        assert nowhere.before.of == len(analysis.readings)


async def test_the_table_has_a_row_for_each_layer_and_position(settings: Settings) -> None:
    async with running(settings, FakeSource()) as app, client_of(app) as client:
        analysis = await finish(analyses_of(app), chat())
        found = await made(app, analysis.id, kind="word", word="=a")
        assert found.word is not None
        where = f"/api/analyses/{analysis.id}/measurements/{found.id}/word.csv"
        answer = await client.get(where)
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 2 * LAYERS * len(analysis.tokens)
        assert rows[0]["word"] == "'=a"  # no formula
        last = rows[LAYERS * len(analysis.tokens) - 1]
        assert (last["layer"], float(last["prob"])) == ("output", found.word.variants[0].prob[-1][-1])
        assert float(last["whole"]) == found.word.variants[0].whole[-1]
        form = await made(app, analysis.id, kind="form")
        other = await client.get(f"/api/analyses/{analysis.id}/measurements/{form.id}/word.csv")
        assert other.status_code == 409
