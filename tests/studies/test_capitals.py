"""Capitals: what is read and edited of each country, and figures over hand-made edits whose answers are known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fastapi import FastAPI

from server.errors import BadInput
from server.studies.capitals import Capitals, names, said
from server.studies.capitals_figures import figures
from server.studies.countries import CAPITALS
from server.studies.requests import CapitalsRequest
from server.studies.schema import Case, ReadingResult, Statistic, WordEdit
from tests.analyses.editing import interventions_of
from tests.fakes import END, FakePair, FakeSource, FakeTarget, Vector
from tests.studies.sums import ASKED, made

OWN = {"France": "Paris", "Spain": "Madrid", "Norway": "Oslo", "Chile": "Santiago", "Peru": "Lima"}


class Knowing(FakeTarget):
    """Goes on with the capital of the country that the prompt ends in; of Peru it says another."""

    async def generate(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        on_token: Callable[[int], None],
    ) -> list[int]:
        self.generated += 1
        await self._work()
        text = "".join(chr(id) for id in ids)
        capital = next(capital for country, capital in OWN.items() if country in text)
        told = [*map(ord, "Quito" if capital == "Lima" else capital), END][:max_new_tokens]
        for id in told:
            on_token(id)
        return told


@pytest.fixture
def source() -> FakeSource:
    """A pair that knows some capitals."""
    return FakeSource(FakePair(target=Knowing()))


def asked(**more: Any) -> CapitalsRequest:
    request = ASKED.validate_python({"kind": "capitals", "capitals": OWN, "seed": 3} | more)
    assert isinstance(request, CapitalsRequest)
    return request


def naming(vector: Vector, sample: int = 0) -> str:
    """A reading that names all countries, and is of this activation alone."""
    letters = hashlib.sha256(vector.tobytes()).hexdigest()
    return f"Of France, Spain, Norway, Chile and Peru. {''.join(chr(97 + int(letter, 16)) for letter in letters)}"


@pytest.mark.anyio
async def test_the_country_is_replaced_where_the_model_says_its_capital(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.text_of", naming)
    study = await made(app, asked(edit_alphas=[1, 0.5]))
    assert study.status == "done", study.error
    assert sorted(case.label for case in study.cases) == sorted(OWN)
    order = [case.label for case in study.cases]
    for n, case in enumerate(study.cases):
        other = order[(n + 1) % len(order)]
        assert case.row == {
            "country": case.label, "capital": OWN[case.label], "other": other, "other_capital": OWN[other],
        }  # fmt: skip
        prompt = f"The capital of {case.label} is"
        assert [(r.where, r.position) for r in case.readings] == [
            ("country", len(prompt) - 4), ("last", len(prompt) - 1),
        ]  # fmt: skip
        assert [r.token for r in case.readings] == [case.label[-1], "s"]
        assert all(
            r.measures["names_country"] == 1 and r.measures["names_capital"] == 0 for r in case.readings
        )
        assert case.exact is (case.label != "Peru")
        ways = [(e.where, e.alpha) for e in case.edits]
        expected = [(where, alpha) for where in ("country", "last") for alpha in (None, 0.5, 1)]
        assert ways == (expected if case.exact else [])
        for e in case.edits:
            id, _, query = e.url[3:].partition("?")
            edit = await interventions_of(app).get(id, query.rpartition("=")[2])
            assert case.label not in (edit.request.text or "") and (edit.request.text or "").count(other) == 2
            assert edit.request.targets == [OWN[case.label], OWN[other]]
            assert edit.request.until == len(prompt) - 1
            assert (e.outcome, e.unedited) in (("another", False), ("another", None))
            assert len(e.random_hits) == (16 if e.alpha is None else 8) and not any(e.random_hits)
    found = study.statistics
    assert found["answers"]["says_the_capital"].value == pytest.approx(4 / 5)
    assert found["country"]["names_country"].value == 1
    # Peru's capital is not known: neither it, nor the edit that puts it in, counts.
    assert found["edits_country"]["carries_over_replaced"].n == 3
    assert found["edits_last"]["another_at_0.5"].value == 1


@pytest.mark.anyio
async def test_a_reading_that_does_not_name_the_country_is_not_edited(app: FastAPI) -> None:
    study = await made(app, asked())
    assert study.status == "done" and not any(case.edits for case in study.cases)
    assert (study.statistics["country"]["names_country"].value, study.statistics["edits_country"]) == (0, {})
    assert any("nothing to edit" in note for note in study.notes)


def case(number: int, *edits: WordEdit, exact: bool = True, text: str = "") -> Case:
    """A country `c<number>` whose reading has this text."""
    return Case(
        number=number,
        label=f"c{number}",
        exact=exact,
        reply=f" k{number}x" if exact else " nowhere",
        row={"country": f"c{number}", "capital": f"k{number}x", "other": f"c{number + 1}"},
        readings=[
            ReadingResult(position=3, token="x", url="/a/x", text=text, where=where, fve=0.5)
            for where in ("country", "last")
        ],
        edits=list(edits),
    )


def edit(outcome: str, other: str, random: Sequence[bool] = (), **more: Any) -> WordEdit:
    return WordEdit.model_validate(
        {"position": 3, "where": "country", "alpha": None, "other": other, "intended": "k", "first": "k"}
        | {"outcome": outcome, "prob": 0.4, "random_prob": 0.1, "random_hits": list(random)}
        | {"unedited": False, "kl": 1, "url": "/a/x"}
        | more
    )


def told(cases: Sequence[Case], group: str) -> dict[str, Statistic]:
    return figures(cases, asked()).statistics[group]


def test_the_shares_of_edits_are_over_countries_that_are_known() -> None:
    cases = [
        case(0, edit("other", "c1", [True, False])),
        case(1, edit("own", "c2", [False, False])),
        case(2, edit("another", "c0", [False, False], unedited=True)),
        case(3, edit("other", "c4", [True, True])),  # the model does not know the capital of c4
        case(4, exact=False),
    ]
    found = told(cases, "edits_country")
    carried = found["carries_over_replaced"]
    assert (carried.value, carried.n, carried.cases) == (pytest.approx(1 / 3), 3, 3)
    assert carried.null is not None and carried.null.value == pytest.approx(1 / 6)
    values = {name: found[f"{name}_replaced"].value for name in ("own_capital", "another", "unedited")}
    assert values == {name: pytest.approx(1 / 3) for name in values}
    assert found["prob_replaced"].value == pytest.approx(0.4)
    assert told(cases, "edits_last") == {}
    assert told(cases, "answers")["says_the_capital"].value == pytest.approx(4 / 5)


def test_readings_that_name_their_own_country_are_told_from_chance() -> None:
    cases = [case(n, text=f"a sentence on C{n}.") for n in range(8)]
    found = told(cases, "country")["names_country"]
    assert (found.value, found.n) == (1, 8)
    assert found.null is not None and found.null.value == pytest.approx(1 / 8, abs=0.02)
    assert found.p is not None and found.p < 0.01
    everything = [case(n, text="c0 c1 c2 c3 c4 c5 c6 c7") for n in range(8)]
    assert told(everything, "country")["names_country"].p == 1


@pytest.mark.parametrize("cases", [[], [Case(number=0, label="x", error="too long")]])
def test_nothing_at_all_is_told_as_that(cases: list[Case]) -> None:
    assert told(cases, "answers")["says_the_capital"].n == 0


@pytest.mark.parametrize(
    ("reply", "answers"),
    [(" Paris, the", True), ("paris", True), ("Par", True), (" the", False), ("", False)],
)
def test_an_answer_begins_with_the_capital(reply: str, answers: bool) -> None:
    assert said(reply, "Paris") is answers


def test_a_name_is_words_of_their_own() -> None:
    assert names("about NIGER.", "Niger") and not names("about Nigeria", "Niger")


def test_the_built_in_countries_are_all_asked_for_once_and_fewer_by_the_seed() -> None:
    every = Capitals(asked(capitals=None), 1000).specs()
    assert sorted(spec.label for spec in every) == sorted(CAPITALS)
    few = Capitals(asked(capitals=None, countries=4), 1000).specs()
    assert [spec.label for spec in few] == [spec.label for spec in every[:4]]
    assert few[3].row["other"] == few[0].label


def test_more_countries_than_there_are_or_than_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="There are 5 countries"):
        Capitals(asked(countries=6), 1000).specs()
    with pytest.raises(BadInput, match="NLA_MAX_CASES"):
        Capitals(asked(), 4).specs()
    with pytest.raises(ValueError, match=r"has no \{country\}"):
        asked(template="The capital is")
