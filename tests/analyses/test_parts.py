"""What carries the signal of a reading: how it is cut, and the forms in which it is read again."""

from __future__ import annotations

import pytest

from server.measurements.forms import DRAWS, MOST_WORDS, Form, sentences, words
from server.measurements.parts import forms_of
from server.measurements.schema import MeasurementRequest

TEXT = 'The final token is "3.5". The text runs "Mr. X said: no!" It is news.\nA short report follows.'


def forms(text: str, **request: object) -> list[Form]:
    asked = MeasurementRequest.model_validate({"kind": "parts", "position": 1, **request})
    return list(forms_of(text, asked, 3))


def of(kind: str, found: list[Form]) -> list[Form]:
    return [form for form in found if form.kind == kind]


@pytest.mark.parametrize(
    "text", [TEXT, "one", "No end", "Ends here.", "Two lines\nwithout stops", "A. B. C."]
)
def test_sentences_and_words_together_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == "".join(words(text)) == text


def test_a_sentence_ends_at_its_stop_or_its_line() -> None:
    assert [s.strip() for s in sentences("One is 3.5 long. Two ends!\nThree")] == [
        "One is 3.5 long.", "Two ends!", "Three",
    ]  # fmt: skip


def test_each_sentence_is_left_out_once_and_the_rest_stays_as_it_is() -> None:
    found = of("without_sentence", forms("One. Two. Three."))
    assert [form.text for form in found] == ["Two. Three.", "One. Three.", "One. Two."]
    assert [form.index for form in found] == [0, 1, 2]


def test_each_word_is_left_out_once() -> None:
    assert [form.text for form in of("without_word", forms("cats purr softly"))] == [
        "purr softly", "cats softly", "cats purr",
    ]  # fmt: skip
    assert len(of("without_word", forms("word " * 900))) == MOST_WORDS


def test_digits_and_short_words_are_left_out_as_well() -> None:
    text = 'It is 7. No. A "6" or "no".'
    assert [form.text for form in of("without_sentence", forms(text))] == [
        'No. A "6" or "no".', 'It is 7. A "6" or "no".', "It is 7. No.",
    ]  # fmt: skip
    assert [form.text for form in of("without_word", forms("7 no"))] == ["no", "7"]
    assert len(of("without_quote", forms(text))) == 2


def test_each_quotation_is_left_out_with_its_marks() -> None:
    assert [form.text for form in of("without_quote", forms('Near "a cat" and “a dog”.'))] == [
        "Near and “a dog”.", 'Near "a cat" and .',
    ]  # fmt: skip


def test_beside_a_sentence_as_many_words_of_the_others_are_left_out() -> None:
    found = of("without_random", forms("One two. Three four five six."))
    assert [form.index for form in found] == [0] * DRAWS  # the second has more words than the rest
    for form in found:
        assert form.text.startswith("One two.") and len(form.text.split()) == 4


def test_shuffling_keeps_every_word() -> None:
    (by_sentence,), (by_word,) = (of(kind, forms(TEXT)) for kind in ("shuffle_sentences", "shuffle_words"))
    assert sorted(by_sentence.text.split()) == sorted(by_word.text.split()) == sorted(TEXT.split())


def test_equal_requests_shuffle_equally_and_other_seeds_otherwise() -> None:
    assert forms(TEXT, seed=1) == forms(TEXT, seed=1) != forms(TEXT, seed=2)


def test_one_word_has_no_parts() -> None:
    assert [form.kind for form in forms("cats")] == ["whole"]


def test_given_words_are_read_as_they_are() -> None:
    assert [(f.text, f.index) for f in of("given", forms("cats", texts=["chats", "Katzen"]))] == [
        ("chats", 0), ("Katzen", 1),
    ]  # fmt: skip
