from __future__ import annotations

import random
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from transformers import AutoTokenizer

from server.nla.checkpoints import demo
from server.settings import Settings
from training.describe import Facts, describe, how_sure, listed, name_token
from training.positions import PER_TEXT, Layout, choose, facts, lay_out, recent
from training.texts import HELD_OUT, TOPICS, Text, plan

PROMPT, REPLY = "Write a poem about owls.", "In the night the owls fly, and the moon is high above them."
TEXT = Text("poem", "owls", False, (("user", PROMPT), ("assistant", REPLY)), False)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(demo.build(Settings().cache_dir)["target"])


def test_a_description_says_token_next_words_certainty_and_last_words_in_this_order() -> None:
    said = describe(Facts(" purr", [(" when", 0.6), (" and", 0.1)], "Why do cats purr"))
    assert said == (
        'The final token is " purr"; next may be " when" or " and": the first is likely. '
        'It reads like "Why do cats purr".'
    )
    opening = describe(Facts("Why", [(" do", 0.95)], ""))
    assert (
        opening
        == 'The final token is "Why"; next may be " do": the first is almost certain. It opens the text.'
    )


def test_candidates_that_differ_in_form_alone_are_merged() -> None:
    assert listed([(" heart", 0.3), ("heart", 0.3), (" Heart", 0.2), (" mind", 0.1)]) == '" heart" or " mind"'
    assert describe(Facts("x", [("a", 0.3), (" a", 0.3), ("b", 0.4)], "")).endswith(
        '"a" or "b": the first is likely. It opens the text.'
    )


def test_as_many_candidates_are_named_however_sure_the_first_is() -> None:
    tokens = [(f" {letter}", 0.9 if letter == "a" else 0.01) for letter in "abcdefgh"]
    assert listed(tokens) == '" a", " b", " c", " d" or " e"'
    assert [how_sure(p) for p in (0.9, 0.89, 0.5, 0.49)] == ["almost certain", "likely", "likely", "a guess"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<|im_end|>", "the end-of-turn mark"),
        ("\n", "a line break"),
        (" ", "a blank"),
        ("   ", "3 blanks"),
        ("\ufffd", "part of a character"),
        (" so", '" so"'),
    ],
)
def test_tokens_that_a_quotation_would_not_show_have_names(text: str, name: str) -> None:
    assert name_token(text) == name


def test_no_description_tells_what_comes_later(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "chat")
    for position in range(len(layout.ids)):
        upto = slice(position + 1)
        cut = replace(
            layout,
            ids=layout.ids[upto],
            roles=layout.roles[upto],
            marks=layout.marks[upto],
            starts=layout.starts[upto],
            digits=layout.digits[upto],
        )
        known = facts(tokenizer, layout, position, [("x", 1.0)])
        assert facts(tokenizer, cut, position, [("x", 1.0)]) == known


def recent_at(tokenizer: Any, layout: Layout, words: str) -> str:
    """What is quoted where the text up to some position ends with these words."""
    ends = (n for n in range(len(layout.ids)) if tokenizer.decode(layout.ids[: n + 1]).endswith(words))
    return recent(tokenizer, layout, next(ends))


def test_the_words_are_quoted_up_to_and_with_the_final_token(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "chat")
    assert recent_at(tokenizer, layout, "the owls") == "a poem about owls. — In the night the owls"


def test_nothing_is_quoted_where_nothing_has_been_said(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "chat")
    assert recent(tokenizer, layout, 1) == ""
    assert recent(tokenizer, lay_out(tokenizer, TEXT, "raw"), 0) == ""


def test_lines_are_told_apart_and_a_word_that_began_before_the_window_is_left_out(tokenizer: Any) -> None:
    said = "A line.\n\nAnother antidisestablishmentarian word " + "so " * 8 + "on"
    text = replace(TEXT, turns=(("text", said),))
    layout = lay_out(tokenizer, text, "raw")
    assert recent_at(tokenizer, layout, "Another") == "A line. / Another"
    assert recent_at(tokenizer, layout, "on") == "word " + "so " * 8 + "on"


def test_a_chat_is_laid_out_as_the_target_sees_it(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": REPLY}]
    assert lay_out(tokenizer, TEXT, "chat").ids == tokenizer.apply_chat_template(chat, return_dict=False)


def test_a_chat_keeps_its_own_system_message_and_all_its_turns(tokenizer: Any) -> None:
    turns = (
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "Why?"),
        ("assistant", "So."),
    )
    chat = [{"role": role, "content": content} for role, content in turns]
    layout = lay_out(tokenizer, replace(TEXT, turns=turns), "chat")
    assert layout.ids == tokenizer.apply_chat_template(chat, return_dict=False)
    assert [role for role, _ in groupby(layout.roles)] == [role for role, _ in turns]


def test_the_first_position_is_never_chosen(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "chat")
    chosen = choose(layout, random.Random(0))
    assert len(set(chosen)) == PER_TEXT and 0 not in chosen


def test_topics_are_held_out_whole() -> None:
    planned = plan(400, 0)
    assert not set(TOPICS) & set(HELD_OUT)
    assert {t.topic in HELD_OUT for t in planned if t.held_out} == {True}
    assert {t.topic in TOPICS for t in planned if not t.held_out} == {True}
    assert sum(t.held_out for t in planned) == 50
