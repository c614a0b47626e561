from __future__ import annotations

from typing import Any

import pytest

from frontend.home import forms
from frontend.home.chat_turns import Turn
from frontend.typed_form import FormError
from server.analyses.content_id import normalised
from server.analyses.schema import AnalysisRequest
from server.errors import FieldError

SENT = {
    "mode": "chat",
    "prompt": "Hi\r\nthere",
    "system": "",
    "reply_tokens": "8",
    "positions": "all",
    "samples": "1",
}


def test_a_chat_becomes_messages() -> None:
    request = forms.request(forms.read(SENT | {"system": "Be brief."}))
    assert [(m.role, m.content) for m in request.messages or []] == [
        ("system", "Be brief."),
        ("user", "Hi\nthere"),
    ]


def test_raw_text_stays_text_and_the_system_prompt_is_left_out() -> None:
    request = forms.request(forms.read(SENT | {"mode": "raw", "system": "unused"}))
    assert (request.text, request.messages) == ("Hi\nthere", None)


def test_no_reply_asks_for_none() -> None:
    assert forms.request(forms.read(SENT | {"reply_tokens": "0"})).generate is None


def test_an_empty_reading_temperature_leaves_the_choice_to_the_server() -> None:
    assert forms.request(forms.read(SENT | {"av_temperature": ""})).verbalise.temperature is None


def test_an_example_replaces_the_prompt_and_keeps_the_settings() -> None:
    form = forms.read(SENT | {"example": "multiplication", "mode": "raw"})
    assert (form.mode, form.prompt, form.reply_tokens) == ("chat", "What is 7 * 24?", "8")


def test_an_example_may_be_raw_text() -> None:
    asked = forms.request(forms.read(SENT | {"example": "capital"}))
    assert (asked.text, asked.messages) == ("The capital of France is", None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("reply_tokens", "-1"),
        ("reply_tokens", "nan"),
        ("reply_tokens", "1.5"),
        ("reply_tokens", "many"),
        ("samples", "0"),
        ("seed", "inf"),
        ("reply_temperature", "-0.1"),
        ("av_temperature", "1e9"),
        ("positions", "none"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: str) -> None:
    with pytest.raises(FormError) as caught:
        forms.request(forms.read(SENT | {field: value}))
    assert list(caught.value.errors) == [field]


def test_blank_prompts_other_than_line_breaks_are_left_to_the_server() -> None:
    assert forms.request(forms.read(SENT | {"prompt": " " * 5000})).prompt_text == " " * 5000


def said(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


@pytest.mark.parametrize(
    "asked",
    [
        said(("user", "u")),
        said(("system", "s"), ("user", "u")),
        said(("system", "s"), ("user", "1"), ("assistant", "2\n\n3"), ("user", "4"), ("assistant", "5")),
        said(("user", "1"), ("system", "s"), ("user", " 2 ")),
        said(("assistant", "1"), ("user", "2")),
        said(("system", "s")),
        said(("user", "7 * 24"), ("assistant", "7 * 24 =")) | {"continue_final_message": True},
        said(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "\n"))
        | {"continue_final_message": True},
        {"text": "raw\n"},
        said(("user", "u")) | {"positions": [3, 5], "generate": None},
        said(("user", "u"))
        | {"generate": {"max_new_tokens": 7, "temperature": 0.123456789, "seed": 3}, "positions": "generated"}
        | {"verbalise": {"temperature": 0.7, "samples": 2, "seed": 4, "max_new_tokens": 60}},
    ],
)
def test_filling_and_asking_again_gives_the_same_request(asked: dict[str, Any]) -> None:
    request = AnalysisRequest.model_validate(asked)
    again = forms.request(forms.fill(request))
    assert normalised(again, "pair") == normalised(request, "pair")


@pytest.mark.parametrize(
    ("samples", "temperature", "shown"), [(1, 0.0, ""), (2, 0.7, ""), (2, 0.0, "0"), (1, 0.7, "0.7")]
)
def test_a_temperature_that_nobody_chose_is_not_filled_in(
    samples: int, temperature: float, shown: str
) -> None:
    voice = {"samples": samples, "temperature": temperature}
    form = forms.fill(AnalysisRequest.model_validate({"text": "a", "verbalise": voice}))
    assert form.av_temperature == shown


def test_turns_come_in_the_order_of_their_numbers_and_the_reply_is_begun_last() -> None:
    turns = {
        "turn-10-role": "user",
        "turn-10-content": "b",
        "turn-2-content": "a\r\nc",
        "turn-2-role": "assistant",
    }
    request = forms.request(forms.read(SENT | turns | {"prefill": "So"}))
    assert [(m.role, m.content) for m in request.messages or []] == [
        ("user", "Hi\nthere"),
        ("assistant", "a\nc"),
        ("user", "b"),
        ("assistant", "So"),
    ]
    assert request.continue_final_message


def test_raw_text_leaves_out_what_a_chat_has() -> None:
    fields = {"mode": "raw", "turn-0-role": "user", "turn-0-content": "", "prefill": "So"}
    request = forms.request(forms.read(SENT | fields))
    assert (request.text, request.messages, request.continue_final_message) == ("Hi\nthere", None, False)


def test_a_turn_more_is_the_other_sides_and_a_turn_less_keeps_the_others() -> None:
    form = forms.changed(forms.changed(forms.Form(), "add"), "add")
    assert [turn.role for turn in form.turns] == ["assistant", "user"]
    assert form.focus == "turn-1-content"
    assert [turn.role for turn in forms.changed(form, "remove-0").turns] == ["user"]
    assert forms.changed(form, "remove-7").turns == form.turns


def test_an_example_leaves_no_turn_of_before() -> None:
    form = forms.read(
        SENT | {"turn-0-content": "a", "role": "assistant", "prefill": "So", "example": "hiding"}
    )
    assert (form.turns, form.role, form.prefill) == ((), "user", "")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"turn-0-role": "user", "turn-0-content": "\n"}, "turn-0-content"),
        ({"turn-0-role": "narrator", "turn-0-content": "a"}, "form"),
        ({"role": "narrator"}, "form"),
        ({"reading_tokens": "0"}, "reading_tokens"),
        ({"reply_seed": "x"}, "reply_seed"),
        ({"positions": "3,x"}, "positions"),
        ({"turns": "x", "errors": "x", "prompt": ""}, "prompt"),
    ],
)
def test_what_is_wrong_with_a_turn_stands_beside_it(fields: dict[str, str], place: str) -> None:
    with pytest.raises(FormError) as caught:
        forms.request(forms.read(SENT | fields))
    assert list(caught.value.errors) == [place]


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("messages.0.content", "system"),
        ("messages.1.content", "prompt"),
        ("messages.2.content", "turn-0-content"),
        ("messages.3.content", "prefill"),
        ("messages", "prompt"),
        ("continue_final_message", "prefill"),
        ("generate.seed", "seed"),
    ],
)
def test_complaints_about_a_message_find_its_turn(field: str, place: str) -> None:
    form = forms.Form(system="s", turns=(Turn("user", "a"),), prefill="b")
    assert forms.place((FieldError(field, "no"),), "no", form) == {place: "no"}


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("messages.0.content", "prompt"),
        ("text", "prompt"),
        ("generate.max_new_tokens", "reply_tokens"),
        ("verbalise.samples", "samples"),
        ("verbalise.temperature", "av_temperature"),
        ("positions.3", "positions"),
        ("pair", "form"),
    ],
)
def test_the_servers_complaints_stand_beside_their_fields(field: str, place: str) -> None:
    assert forms.place((FieldError(field, "no"),), "no", forms.Form()) == {place: "no"}


def test_with_a_system_prompt_the_first_message_is_the_system_prompt() -> None:
    form = forms.Form(system="s")
    assert forms.place((FieldError("messages.0.content", "no"),), "no", form) == {"system": "no"}


def test_a_complaint_without_a_field_stands_at_the_head() -> None:
    assert forms.place((), "The models are loading.", forms.Form()) == {"form": "The models are loading."}


def test_folded_settings_open_when_one_is_wrong() -> None:
    assert forms.Form(errors={"seed": "no"}).more_open
    assert not forms.Form().more_open


def test_a_complaint_about_the_pair_stands_beside_its_choice() -> None:
    assert forms.place((FieldError("pair", "no"),), "no", forms.Form(pair="other")) == {"pair": "no"}


def test_the_chosen_pair_is_asked_for_and_comes_back_into_the_form() -> None:
    asked = forms.request(forms.read({"prompt": "a", "pair": "other"}))
    assert asked.pair == "other"
    assert forms.fill(asked).pair == "other"


def test_pairs_that_read_along_are_asked_for_without_the_pair_itself() -> None:
    asked = forms.request(forms.read({"prompt": "a", "pair": "b", "also": "a,b,c"}))
    assert asked.also == ["a", "c"]
    assert forms.fill(asked).also == "a,c"
    assert forms.place((FieldError("also.1", "no"),), "no", forms.Form(pair="b")) == {"also": "no"}
