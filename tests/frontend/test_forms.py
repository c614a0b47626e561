from __future__ import annotations

import pytest

from frontend import forms
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
    with pytest.raises(forms.FormError) as caught:
        forms.request(forms.read(SENT | {field: value}))
    assert list(caught.value.errors) == [field]


def test_blank_prompts_other_than_line_breaks_are_left_to_the_server() -> None:
    assert forms.request(forms.read(SENT | {"prompt": " " * 5000})).prompt_text == " " * 5000


def test_filling_and_asking_again_gives_the_same_request() -> None:
    asked = AnalysisRequest.model_validate(
        {
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
            "generate": {"max_new_tokens": 7, "temperature": 0.5, "seed": 3},
            "positions": "generated",
            "verbalise": {"temperature": 0.7, "samples": 2, "seed": 3},
        }
    )
    assert forms.request(forms.fill(asked)) == asked


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
