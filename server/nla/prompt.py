"""Messages or text -> token ids, and token ids -> what a person sees of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2.exceptions import TemplateError

from server.errors import PromptError

ROLES = frozenset({"system", "user", "assistant"})
LONGEST_GLYPH = 8
"""Tokens that one glyph may span: an emoji with modifiers takes up to eight byte tokens."""


@dataclass(frozen=True)
class Piece:
    """One token. Its glyph stands on the first of the tokens that share it, the others have an empty text."""

    id: int
    text: str
    kind: Literal["prompt", "generated"]
    role: str  # "system", "user", "assistant", "template" (the marks between turns) or "text" (raw)
    special: bool
    glyph: tuple[int, int] | None
    ends_turn: bool = False


@dataclass(frozen=True)
class Segment:
    """A stretch of the rendered prompt: what somebody wrote, or what the chat template put around it."""

    text: str
    role: str


class Prompter:
    """The target's tokenizer and chat template, with what people type kept from becoming template."""

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int] = frozenset()) -> None:
        self.tokenizer = tokenizer
        self.special_ids = frozenset(tokenizer.all_special_ids) | frozenset(
            id for id, added in tokenizer.added_tokens_decoder.items() if added.special
        )
        self.stop_ids = stop_ids
        self.roles = ROLES

    def encode(
        self, messages: Sequence[tuple[str, str]] | None, text: str | None, *, continue_final: bool = False
    ) -> list[int]:
        """Token ids of a chat (`(role, content)` pairs) or of raw text. With `continue_final` the last
        message stays open, for the model to go on with it. Raises PromptError naming the field.
        """
        return [id for id, _ in self._tokens(messages, text, continue_final)]

    def encode_with_roles(
        self, messages: Sequence[tuple[str, str]] | None, text: str | None, *, continue_final: bool = False
    ) -> tuple[list[int], list[str]]:
        """As `encode`, with the role of each token."""
        tokens = self._tokens(messages, text, continue_final)
        return [id for id, _ in tokens], [role for _, role in tokens]

    def pieces(
        self, prompt_ids: Sequence[int], generated_ids: Sequence[int], roles: Sequence[str] | None = None
    ) -> list[Piece]:
        """Return the tokens as they are shown. `roles` are those of the prompt's tokens, as `encode_with_roles` gave
        them.
        """
        ids = [*prompt_ids, *generated_ids]
        roles = list(roles) if roles is not None else ["text"] * len(prompt_ids)
        roles += ["assistant"] * len(generated_ids)
        pieces: list[Piece] = []
        for first, last, glyphs in self._glyphs(ids):
            for position in range(first, last + 1):
                pieces.append(
                    Piece(
                        id=ids[position],
                        text=glyphs if position == first else "",
                        kind="prompt" if position < len(prompt_ids) else "generated",
                        role=roles[position],
                        special=ids[position] in self.special_ids or roles[position] == "template",
                        glyph=(first, last) if last > first else None,
                        ends_turn=ids[position] in self.stop_ids,
                    )
                )
        return pieces

    def word(self, text: str) -> list[int]:
        """The ids of a word as it is typed, a leading space included; never a control token."""
        return self._ids(text, typed=True)

    def token_text(self, id: int) -> str:
        """One token by itself, spaces kept; a part of a glyph shows as the replacement character."""
        text: str = self.tokenizer.decode([id], clean_up_tokenization_spaces=False)
        return text

    def _tokens(
        self, messages: Sequence[tuple[str, str]] | None, text: str | None, continue_final: bool
    ) -> list[tuple[int, str]]:
        if (messages is None) == (text is None):
            raise PromptError("messages", "Give either `messages` or `text`, one of the two.")
        if text is not None:
            if not text:
                raise PromptError("text", "The text is empty: type at least one character.")
            ids = self._ids(text, typed=True)
            bos = self.tokenizer.bos_token_id
            if bos is not None and self.tokenizer("a")["input_ids"][0] == bos:
                ids = [bos, *ids]
            return [(id, "text") for id in ids]
        return [
            (id, segment.role)
            for segment in self._segments(list(messages or ()), continue_final)
            for id in self._ids(segment.text, typed=segment.role != "template")
        ]

    def _ids(self, text: str, *, typed: bool) -> list[int]:
        """Ids of a segment; in typed text `<|im_end|>` is seven characters, not the end of a turn."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=typed)[
            "input_ids"
        ]
        return ids

    def _segments(self, messages: list[tuple[str, str]], continue_final: bool) -> list[Segment]:
        """The rendered chat, cut at what was typed; with `continue_final` up to the end of the last message.

        The template is rendered with a private-use character in each message's place, so that nothing typed can be
        taken for template. A template that trims its messages (Llama, Gemma) is followed; one that alters them
        otherwise is refused.
        """
        for n, (role, content) in enumerate(messages):
            if role not in self.roles:
                raise PromptError(
                    f"messages.{n}.role", f"Unknown role {role!r}: use {', '.join(sorted(self.roles))}."
                )
            if not content.strip() and role != "assistant":
                raise PromptError(
                    f"messages.{n}.content", "The message is empty: type at least one character."
                )
        if not messages:
            raise PromptError("messages", "There is no message: give at least one.")
        marks = [chr(0xF0000 + n) for n in range(len(messages))]
        frame = self._render([(role, mark) for (role, _), mark in zip(messages, marks, strict=True)])
        true = self._render(messages)
        for contents in ([c for _, c in messages], [c.strip() for _, c in messages]):
            segments: list[Segment] = []
            rest = frame
            for (role, _), mark, content in zip(messages, marks, contents, strict=True):
                before, found, rest = rest.partition(mark)
                if not found:
                    raise PromptError(
                        "messages", f"The model's chat template has no place for the {role} message."
                    )
                segments += [Segment(before, "template"), Segment(content, role)]
            if "".join(s.text for s in segments) + rest == true:
                segments += [] if continue_final else [Segment(rest, "template")]
                return [s for s in segments if s.text]
        raise PromptError(
            "messages", "The model's chat template alters what was typed; use raw text instead."
        )

    def _render(self, messages: Sequence[tuple[str, str]]) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=messages[-1][0] != "assistant"
            )
        except (TemplateError, ValueError) as error:
            raise PromptError(
                "messages", f"The model's chat template refuses these messages: {error}."
            ) from error
        return rendered

    def _glyphs(self, ids: Sequence[int]) -> list[tuple[int, int, str]]:
        """(first, last, text) for each group of tokens that must be decoded together to make whole characters."""
        groups: list[tuple[int, int, str]] = []
        start = 0
        while start < len(ids):
            text, last = self.token_text(ids[start]), start
            if text.endswith("\ufffd"):
                for end in range(start + 1, min(start + LONGEST_GLYPH, len(ids))):
                    joined = self.tokenizer.decode(
                        list(ids[start : end + 1]), clean_up_tokenization_spaces=False
                    )
                    if not joined.endswith("\ufffd"):
                        # Another token's letters after a character that never completes are not one glyph with it.
                        if "\ufffd" not in joined:
                            text, last = joined, end
                        break
            groups.append((start, last, text))
            start = last + 1
        return groups
