from __future__ import annotations

from frontend.analysis.shared_words import Span, common, shared, spans

TEXTS = ["Cats purr loudly.", "The cats purr.", "A dog barks at the cats."]


def test_what_most_others_say_is_shared() -> None:
    assert shared(TEXTS, ()) == [{"cats", "purr"}, {"the", "cats", "purr"}, {"the", "cats"}]


def test_of_two_both_must_say_it() -> None:
    assert shared(["Rain and wind", "wind or hail"], ()) == [{"wind"}, {"wind"}]


def test_words_of_nearly_all_readings_are_not_shared() -> None:
    assert shared(TEXTS, {"cats", "the"}) == [{"purr"}, {"purr"}, set()]


def test_common_words_stand_in_more_than_half_of_the_readings() -> None:
    readings = tuple(f"The final token is number{n}" + (" rare" if n < 4 else "") for n in range(8))
    assert common(readings) == {"the", "final", "token"}


def test_of_few_readings_no_word_is_common() -> None:
    assert common(("the same",) * 7) == frozenset()


def test_marked_words_that_follow_each_other_are_one_span() -> None:
    assert spans("So cats purr, he said", {"cats", "purr"}) == [
        Span("So ", False),
        Span("cats purr", True),
        Span(", he said", False),
    ]


def test_spans_put_together_are_the_text() -> None:
    text = "“Cats’ paws” — CATS\n\nand cats."
    assert "".join(span.text for span in spans(text, {"cats", "paws"})) == text


def test_case_does_not_matter() -> None:
    assert spans("CATS", {"cats"}) == [Span("CATS", True)]
