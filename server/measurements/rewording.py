"""Readings in other words, written by the target itself.

Meaning survives a paraphrase or a translation, a code in the form of the words does not. How good the rewording is
depends on the target; its words are kept beside its scores, to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.errors import BadInput
from server.measurements.schema import RewordingKind

if TYPE_CHECKING:
    from server.nla.models.loaded_pair import LoadedPair

_TASKS = {
    "paraphrase": "Rewrite this in other words. Keep its meaning. Answer with nothing but the new text.",
    "translate": "Translate this into {language}. Answer with nothing but the translation.",
}


async def reword(pair: LoadedPair, kind: RewordingKind, text: str, language: str) -> str:
    """The target's greedy rewording of a text, at most twice as long; empty if it answers nothing. Raises BadInput
    for a target without a chat template, and where the text leaves no room for an answer.
    """
    task = _TASKS[kind].format(language=language)
    try:
        prompt = pair.prompter.encode([("user", f"{task}\n\n{text}")], None)
    except BadInput as error:
        raise BadInput("kind", f"{pair.name}'s target cannot be asked to reword: {error.detail}") from error
    room = pair.target.max_tokens - len(prompt)
    if room < 1:
        raise BadInput("kind", "The reading is too long for the target to reword.")
    most = min(room, 2 * len(pair.prompter.encode(None, text)) + 8)
    ids = await pair.target.generate(
        prompt, max_new_tokens=most, temperature=0.0, seed=0, on_token=lambda _: None
    )
    return written(pair, prompt, ids)


def written(pair: LoadedPair, prompt: Sequence[int], ids: Sequence[int]) -> str:
    """The words of a reply, without the marks of its end."""
    pieces = pair.prompter.pieces(prompt, ids)[len(prompt) :]
    return "".join(piece.text for piece in pieces if not piece.special).strip()
