"""The kinds of texts that the demo pair is trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from server.nla.checkpoints import demo
from server.settings import Settings
from training import kinds
from training.texts import Text, opening, read, write

TEXTS = kinds.every(800, 0)


def test_every_kind_is_there_in_its_share_and_the_same_again() -> None:
    assert len(TEXTS) == pytest.approx(800, abs=len(kinds.SHARES))
    assert sum(kinds.SHARES.values()) == pytest.approx(1)
    genres = Counter(text.genre for text in TEXTS)
    assert {
        "code",
        "C++ code",
        "JavaScript code",
        "French text",
        "German text",
        "Spanish text",
        "table",
    } < set(genres)
    assert kinds.every(800, 0) == TEXTS


def of(genre: str, held_out: bool) -> list[Text]:
    return [text for text in TEXTS if text.genre == genre and text.held_out is held_out]


def test_one_text_in_eight_is_held_out_with_its_file_and_its_problem() -> None:
    assert sum(text.held_out for text in TEXTS) == pytest.approx(100, abs=15)
    files = [{text.topic for text in of("C++ code", held)} for held in (False, True)]
    problems = [{text.turns[-1][1] for text in of("multiplication", held)} for held in (False, True)]
    for known, apart in (files, problems):
        assert known and apart and not known & apart


def test_what_the_target_has_to_write_on_ends_where_it_begins_to_write() -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(demo.build(Settings().cache_dir)["target"])
    made = {text.genre: text for text in TEXTS if text.unfinished}
    product = made["multiplication"]
    assert opening(tokenizer, product).endswith(f"<|im_start|>assistant\n{product.turns[-1][1]}")
    assert opening(tokenizer, made["poem"]).endswith("<|im_start|>assistant\n")
    assert opening(tokenizer, made["table"]) == made["table"].turns[-1][1]


def test_a_finished_text_is_kept_as_it_is_and_read_again(tmp_path: Path) -> None:
    text = Text("code", "re", False, (("text", "import re"),), False)
    path = tmp_path / "texts.jsonl"
    assert write(None, type("T", (), {})(), [text], path, tokens=1, batch=2, seed=0) == [text]
    assert read(path) == [text]


def test_what_the_target_wrote_is_its_answer_or_goes_on_where_the_turn_broke_off() -> None:
    asked = Text("poem", "owls", False, (("user", "Sing."),), True)
    assert asked.finished("La.").turns == (("user", "Sing."), ("assistant", "La."))
    begun = Text("story", "owls", False, (("text", "Once"),), True)
    assert begun.finished(" upon").turns == (("text", "Once upon"),)
    assert not begun.finished("").unfinished
