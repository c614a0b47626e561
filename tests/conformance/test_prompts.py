"""Prompts in the manner of each family: a reply that is begun stays open, as transformers leaves it open."""

from __future__ import annotations

import pytest

from server.nla.prompt import Prompter
from tests.conformance.spoken import GEMMA, LLAMA, QWEN, Speech, tokenizer


@pytest.mark.parametrize("speech", [QWEN, GEMMA, LLAMA], ids=["qwen", "gemma", "llama"])
@pytest.mark.parametrize("begun", ["7 * 24 =", "7 * 24 = ", "Sure.\n"])
def test_a_reply_that_is_begun_ends_the_prompt(speech: Speech, begun: str) -> None:
    words = tokenizer(speech)
    chat = [("user", "What is it?"), ("assistant", "A cat."), ("user", "Why?"), ("assistant", begun)]
    asked = [{"role": role, "content": content} for role, content in chat]
    rendered = words.apply_chat_template(asked, tokenize=False, continue_final_message=True)
    ids, roles = Prompter(words).encode_with_roles(chat, None, continue_final=True)
    assert words.decode(ids, clean_up_tokenization_spaces=False) == rendered
    own = [id for id, role in zip(ids, roles, strict=True) if role == "assistant"]
    assert roles[-1] == "assistant"
    assert words.decode(own, clean_up_tokenization_spaces=False).rstrip() == f"A cat.{begun}".rstrip()
