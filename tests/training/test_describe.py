from __future__ import annotations

import random
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from transformers import AutoTokenizer

from server.nla.checkpoints import demo
from server.settings import Settings
from training.describe import Facts, describe, expected, name_token, setting
from training.positions import PER_TEXT, Layout, choose, facts, lay_out, recent
from training.texts import HELD_OUT, TOPICS, Text, plan

PROMPT, REPLY = "Write a poem about owls.", "In the night the owls fly, and the moon is high above them."
TEXT = Text("poem", "owls", False, (("user", PROMPT), ("assistant", REPLY)), False)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(demo.build(Settings().cache_dir)["target"])


def test_a_description_says_token_next_words_and_setting_in_this_order() -> None:
    said = describe(
        Facts(" purr", [(" when", 0.6), (" and", 0.1)], "Why do cats purr", "user", "question", False)
    )
    assert said == (
        'The final token is " purr"; next probably " when" or " and". The text runs "Why do cats purr". '
        "This is the user's question."
    )


def test_candidates_that_differ_in_form_alone_are_merged() -> None:
    assert expected([(" heart", 0.3), ("heart", 0.3), (" Heart", 0.2), (" mind", 0.1)]) == (
        'next probably " heart" or " mind"'
    )


def test_a_sure_next_token_stands_alone() -> None:
    assert expected([(".", 0.95), ("!", 0.04)]) == 'next comes "."'


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
    text = ""
    for position, id in enumerate(layout.ids):
        text += tokenizer.decode([id])
        known = facts(tokenizer, layout, position, [("x", 1.0)])
        if layout.roles[position] == "user" and "poem" not in text:
            assert known.genre is None


def recent_at(tokenizer: Any, layout: Layout, words: str) -> str:
    """What is quoted where the text up to some position ends with these words."""
    ends = (n for n in range(len(layout.ids)) if tokenizer.decode(layout.ids[: n + 1]).endswith(words))
    return recent(tokenizer, layout, next(ends))


def test_the_words_are_quoted_up_to_and_with_the_final_token(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "chat")
    assert recent_at(tokenizer, layout, "and the moon") == (
        "poem about owls. — In the night the owls fly, and the moon"
    )


def test_nothing_is_quoted_where_nothing_has_been_said(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "chat")
    assert recent(tokenizer, layout, 1) == ""
    assert recent(tokenizer, lay_out(tokenizer, TEXT, "raw"), 0) == ""


def test_lines_are_told_apart_and_a_word_that_began_before_the_window_is_left_out(tokenizer: Any) -> None:
    said = "A line.\n\nAnother antidisestablishmentarian word " + "so " * 12 + "on"
    text = replace(TEXT, turns=(("text", said),))
    layout = lay_out(tokenizer, text, "raw")
    assert recent_at(tokenizer, layout, "Another") == "A line. / Another"
    assert recent_at(tokenizer, layout, "on") in ("so " * 12 + "on", "word " + "so " * 12 + "on")


def test_raw_text_is_named_by_what_it_is(tokenizer: Any) -> None:
    code = replace(TEXT, genre="C++ code", turns=(("text", "int main() { return 0; } " * 6),))
    layout = lay_out(tokenizer, code, "raw")
    assert setting(facts(tokenizer, layout, 2, [])) == "This is plain text."
    assert setting(facts(tokenizer, layout, 40, [])) == "This is C++ code."


def test_raw_text_has_a_genre_only_after_some_of_it(tokenizer: Any) -> None:
    layout = lay_out(tokenizer, TEXT, "raw")
    assert facts(tokenizer, layout, 2, []).genre is None
    assert layout.roles == ["text"] * len(layout.ids)


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
