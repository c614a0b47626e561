"""The ribbon's rules, on readings made by hand whose answers are known."""

from __future__ import annotations

import math

import pytest

from server.analyses.reading_words import LONGEST, best_phrase, words_of
from server.analyses.ribbon import ribbon
from server.analyses.ribbon_schema import Ribbon, RibbonSpan
from server.analyses.schema import Analysis, Reading, Token
from server.analyses.spans import LEAST
from tests.frontend import made

TOPICS = ["rain", "gold", "bread", "ships", "clocks", "horses", "winter", "letters"]
TOPICS += ["music", "bridges", "salt", "tigers", "maps", "wool", "lamps"]


def token(position: int, text: str = "x", role: str = "user", **fields: object) -> Token:
    kind = "generated" if role == "assistant" else "prompt"
    return Token(position=position, id=position, text=text, role=role, special=False, kind=kind, **fields)


def analysis(readings: list[str | None], tokens: list[Token] | None = None, **scores: float) -> Analysis:
    """One reading a token in order; None where it failed."""
    found = [
        Reading(position=p, error="broken") if text is None else Reading(position=p, text=text, **scores)
        for p, text in enumerate(readings)
    ]
    return made.analysis(tokens=tokens or [token(p) for p in range(len(readings))], readings=found)


def lines(made_of: Ribbon) -> list[str]:
    return [line.text for line in made_of.lines]


def apart(count: int) -> list[str]:
    """Readings of which each has a topic of its own, in a frame that all have."""
    return [f"This is a story about {TOPICS[n % 15]}{'ab' * (n // 15)}." for n in range(count)]


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ("The cat's 168 maps", ["the", "cat's", "168", "maps"]),
        ("Élan ÉLAN e\u0301lan", ["élan", "élan", "élan"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("这是一首诗", list("这是一首诗")),
        ("詩poem", ["詩", "poem"]),
        ("고양이 시", ["고양이", "시"]),
        ("Кошка и дом", ["кошка", "и", "дом"]),
        ("قطة صغيرة", ["قطة", "صغيرة"]),
        ("… — !", []),
        ("", []),
    ],
)
def test_words_of_any_script(reading: str, words: list[str]) -> None:
    assert [word.text for word in words_of(reading)] == words


def test_words_say_where_they_stand_and_whether_they_are_quoted() -> None:
    reading = 'It runs "a cat" on.'
    found = {reading[word.start : word.end]: word.quoted for word in words_of(reading)}
    assert found == {"It": False, "runs": False, "a": True, "cat": True, "on": False}


def phrase(reading: str, **weights: float) -> str:
    return best_phrase(reading, words_of(reading), weights).text


def test_a_phrase_begins_and_ends_with_words_that_weigh() -> None:
    assert phrase("This is a poem about cats here.", poem=1, cats=2) == "poem about cats"


def test_a_phrase_stays_within_its_clause() -> None:
    assert phrase("A poem, cats and dogs", poem=1, cats=1, dogs=1) == "cats and dogs"


def test_a_phrase_is_short() -> None:
    reading = "poem " + "and " * LONGEST + "cats"
    assert phrase(reading, poem=1, cats=1) == "poem and"


def test_a_quoted_word_weighs_half() -> None:
    assert phrase('It quotes "dogs bark"; cats follow', dogs=1, cats=0.6) == "cats follow"


def test_a_word_that_recurs_in_a_phrase_counts_once() -> None:
    assert phrase("rain rain rain, gold bread", rain=1, gold=1, bread=1) == "gold bread"


def test_a_single_word_takes_its_neighbour_along() -> None:
    assert phrase("This is plain text.", plain=1) == "plain text"
    assert phrase("This is about Russia.", russia=1) == "about Russia"
    assert phrase("Russia.", russia=1) == "Russia"


def test_a_line_says_what_no_other_reading_says() -> None:
    assert lines(ribbon(analysis(apart(12)))) == [f"about {TOPICS[n]}" for n in range(12)]


def test_a_line_leaves_out_what_both_neighbours_say() -> None:
    readings = apart(12)
    for n in (4, 5, 6):
        readings[n] = f"A slow hymn on {TOPICS[n]}."
    assert lines(ribbon(analysis(readings)))[5] == f"on {TOPICS[5]}"


def test_a_line_leaves_out_the_tokens_own_word() -> None:
    readings = apart(12)
    readings[3] = "The token is ships; a joke on pirates follows."
    made_of = ribbon(analysis(readings, [token(p, " Ships" if p == 3 else "x") for p in range(12)]))
    assert "ships" not in made_of.lines[3].text
    assert "pirates" in made_of.lines[3].text


def test_digits_are_words() -> None:
    readings = ["The sum is near."] * 12
    readings[7] = "The sum is 7."
    assert lines(ribbon(analysis(readings)))[7] == "is 7"


def test_a_line_in_chinese() -> None:
    readings = [f"这是关于{topic}的故事" for topic in "猫狗鸟鱼马牛羊虎龙蛇"]
    assert "龙" in lines(ribbon(analysis(readings)))[8]


def test_readings_that_are_all_the_same_still_have_a_line() -> None:
    assert all(lines(ribbon(analysis(["A poem about cats."] * 10))))


def test_one_reading_alone_has_a_line() -> None:
    assert lines(ribbon(analysis(["A poem about cats."]))) == ["poem about cats"]


@pytest.mark.parametrize(("reading", "state"), [(None, "failed"), ("", "unread"), ("  \n", "unread")])
def test_what_was_not_read_has_no_line(reading: str | None, state: str) -> None:
    line = ribbon(analysis([*apart(8), reading])).lines[8]
    assert (line.text, line.state) == ("", state)


def test_a_reading_without_a_word_is_its_own_line() -> None:
    assert lines(ribbon(analysis([*apart(8), "… —\n!"])))[8] == "… — !"


def test_a_long_word_is_cut() -> None:
    line = lines(ribbon(analysis([*apart(8), "1" * 80])))[8]
    assert len(line) == LONGEST
    assert line.endswith("1…")


def test_of_several_samples_what_more_of_them_say_weighs_more() -> None:
    found = analysis(apart(9))
    texts = ["A hymn.", "A dirge.", "A dirge."]
    found.readings[8:] = [Reading(position=8, sample=n, text=text) for n, text in enumerate(texts)]
    assert lines(ribbon(found))[8] == "A dirge"


def places(spans: list[RibbonSpan]) -> list[tuple[int, int]]:
    return [(span.first, span.last) for span in spans]


def with_poem(first: int, last: int, count: int = 60) -> list[str | None]:
    readings: list[str | None] = [*apart(count)]
    for n in range(first, last + 1):
        readings[n] = f"A quiet poem, of {TOPICS[n % 15]}{'cd' * (n // 15)}."
    return readings


def test_neighbours_whose_readings_agree_are_a_span() -> None:
    (span,) = ribbon(analysis(with_poem(34, 41))).spans
    assert (span.first, span.last, span.text, span.words) == (34, 41, "quiet poem", ["poem", "quiet"])
    each = math.log(math.comb(60, 8))  # eight readings of sixty have the word, and eight in a row do
    assert span.weight == pytest.approx(each + each / 2)
    assert span.weight > LEAST * math.log(60)


def test_readings_that_share_a_frame_alone_do_not_agree() -> None:
    made_of = ribbon(analysis([*apart(60)]))
    assert (made_of.spans, made_of.merged) == ([], 0)


def test_two_neighbours_that_share_two_rare_words_are_no_span() -> None:
    assert ribbon(analysis(with_poem(20, 21))).spans == []


def test_two_neighbours_that_share_more_rare_words_are_a_span() -> None:
    readings: list[str | None] = [*apart(60)]
    readings[20] = readings[21] = "Some quiet lullaby for tired bears."
    assert places(ribbon(analysis(readings)).spans) == [(20, 21)]


def test_a_word_that_most_readings_have_joins_none() -> None:
    readings = [f"A poem on {topic}." for topic in TOPICS] + apart(4)
    (span,) = ribbon(analysis([*readings])).spans
    assert (span.first, span.last, span.words) == (15, 18, ["about", "story", "this"])


def test_a_reading_that_failed_parts_a_span() -> None:
    readings = with_poem(30, 45)
    readings[38] = None
    assert places(ribbon(analysis(readings)).spans) == [(30, 37), (39, 45)]


def test_a_span_ends_with_its_turn() -> None:
    tokens = [token(p, role="user" if p < 38 else "assistant") for p in range(60)]
    assert places(ribbon(analysis(with_poem(30, 45), tokens)).spans) == [(30, 37), (38, 45)]


def test_the_heavier_span_stands_and_the_rest_of_a_lighter_one_stays() -> None:
    readings = with_poem(30, 45)
    for n in range(36, 60):
        readings[n] = f"{readings[n]} An old lullaby."
    made_of = ribbon(analysis(readings))
    assert places(made_of.spans) == [(30, 35), (36, 59)]
    assert [span.words for span in made_of.spans] == [["poem", "quiet"], ["lullaby", "old"]]


def test_fewer_tokens_stand_in_spans_when_the_readings_are_shuffled() -> None:
    made_of = ribbon(analysis(with_poem(30, 45)))
    assert made_of.merged == 16
    assert made_of.merged_by_chance < 4


def test_the_template_is_in_no_span_and_in_no_count() -> None:
    rows = [
        token(p, role="template" if p < 20 else "user", flags=["template"] if p < 20 else [])
        for p in range(60)
    ]
    readings = ["The system message of a helper."] * 20 + apart(40)
    made_of = ribbon(analysis([*readings], rows))
    assert made_of.spans == []
    assert [line.template for line in made_of.lines] == [True] * 20 + [False] * 40
    assert [(t.first, t.last, t.role) for t in made_of.turns] == [(20, 59, "user")]


def test_turns_hold_the_mean_of_their_content() -> None:
    made_of = ribbon(made.analysis())
    assert [(t.first, t.last, t.role, t.kind, t.held.n) for t in made_of.turns] == [
        (3, 11, "user", "prompt", 9),
        (17, 33, "assistant", "generated", 17),
    ]
    fves = [r.fve for r in made.analysis().readings[3:12]]
    assert made_of.turns[0].held.fve == pytest.approx(sum(f for f in fves if f is not None) / 9)


def test_the_same_readings_have_the_same_ribbon() -> None:
    readings = with_poem(30, 45)
    assert ribbon(analysis(readings)) == ribbon(analysis(readings))


def test_an_analysis_without_tokens_has_an_empty_ribbon() -> None:
    made_of = ribbon(made.analysis(tokens=[], readings=[], lens=None))
    assert (made_of.lines, made_of.spans, made_of.turns) == ([], [], [])
