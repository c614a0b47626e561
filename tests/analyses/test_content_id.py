from __future__ import annotations

import pytest

from server.analyses.content_id import content_id, normalised, provisional_id, short
from server.analyses.schema import AnalysisRequest
from tests.analyses.asking import chat


def where(
    request: AnalysisRequest, ids: tuple[int, ...] = (1, 2), pair: str = "p", weights: str = "w"
) -> str:
    return content_id(pair, weights, ids, normalised(request, pair))


@pytest.mark.parametrize(
    "request_",
    [
        chat(positions=[3, 1, 1]),
        chat(positions=[1, 3], verbalise={"temperature": 0.0}),
        chat(pair="p", positions=[1, 3], verbalise={"samples": 1, "seed": 0}),
    ],
)
def test_equal_wishes_have_one_address(request_: AnalysisRequest) -> None:
    assert where(request_) == where(chat(positions=[1, 3]))


def test_every_wish_that_matters_has_its_own() -> None:
    wishes = [
        where(chat()),
        where(chat(), ids=(1, 3)),
        where(chat(), pair="q"),
        where(chat(), weights="x"),
        where(chat(positions="prompt")),
        where(chat(generate={})),
        where(chat(generate={"seed": 1})),
        where(chat(verbalise={"temperature": 0.5})),
        where(chat(verbalise={"samples": 2})),
    ]
    assert len(set(wishes)) == len(wishes)


def test_requests_of_before_keep_their_ids() -> None:
    assert (short(where(chat())), provisional_id(chat())) == ("4ix75gumokji56h6", "4soem3i65mktgm2s")


def test_a_reply_that_is_begun_is_another_wish_before_its_tokens_are_known() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    closed = AnalysisRequest.model_validate({"messages": messages})
    assert provisional_id(closed) != provisional_id(
        closed.model_copy(update={"continue_final_message": True})
    )


def test_several_samples_are_not_greedy_unless_asked() -> None:
    assert normalised(chat(verbalise={"samples": 3}), "p").verbalise.temperature == 0.7
    assert normalised(chat(verbalise={"samples": 3, "temperature": 0}), "p").verbalise.temperature == 0.0
    assert normalised(chat(), "p").verbalise.temperature == 0.0


def test_ids_are_short_and_fit_into_an_address() -> None:
    ids = {short(where(chat(), ids=(n,))) for n in range(50)} | {provisional_id(chat())}
    assert len(ids) == 51
    assert all(len(id) == 16 and id.isalnum() and id.islower() for id in ids)
