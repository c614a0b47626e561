"""Words that are compared, on the real demo pair."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.analyses.schema import Analysis, AnalysisRequest, Token
from server.analyses.word_curves import WhichVariant, WordCurve, follow
from server.jobs.progress import Progress
from server.nla.models.loaded_pair import LoadedPair

pytestmark = pytest.mark.anyio


async def followed(pair: LoadedPair, text: str, word: str, variant: WhichVariant = "exact") -> WordCurve:
    ids = pair.prompter.encode(None, text)
    tokens = [
        Token(position=n, id=id, text="", kind="prompt", role="text", special=False)
        for n, id in enumerate(ids)
    ]
    analysis = Analysis(
        id="a",
        url="/a/a",
        status="done",
        request=AnalysisRequest(text=text),
        pair=pair.name,
        tokens=tokens,
        progress=Progress(stage="done"),
        created=datetime.now(UTC),
    )
    return (await follow(pair, analysis, len(ids) - 1, [word], "plain", variant)).words[0]


async def test_a_word_typed_without_its_space_is_measured_with_it_where_that_is_likelier(
    pair: LoadedPair,
) -> None:
    text = "The capital of France is"
    plain = await followed(pair, text, "Paris")
    taken = await followed(pair, text, "Paris", "likelier")
    assert (plain.word, taken.word, taken.typed) == ("Paris", " Paris", "Paris")
    assert taken.prob[-1] > 0.5 > 0.01 > plain.prob[-1]
    assert taken.other is not None
    assert (taken.other.word, taken.other.prob) == ("Paris", pytest.approx(plain.prob[-1], rel=1e-3))


async def test_inside_a_word_the_variant_without_a_space_is_taken(pair: LoadedPair) -> None:
    taken = await followed(pair, "He has an umbr", "ella", "likelier")
    assert (taken.word, taken.other and taken.other.word) == ("ella", " ella")


async def test_a_number_says_how_many_tokens_it_has_and_which_is_followed(pair: LoadedPair) -> None:
    found = await followed(pair, "7 * 24 =", " 168")
    assert (found.token, found.parts, found.count) == (" ", [" ", "1", "6", "8"], 4)
    assert found.ids == pair.prompter.word(" 168")
