"""Descriptions that the AV is taught: plain sentences on a position that its activation can support.

The order matters: the final token and what is expected next first, the recent words after, genre and topic
last. With the words first, the AV invents words and then copies its own invention. The words are quoted up to
and with the final token: a model that reads them is then, at that token, nearly in the state to be described.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_PROBABILITY = 0.04
MOST_CANDIDATES = 4

NOUNS = {
    "question": ("an answer", "question"),
    "explanation": ("an explanation", "explanation"),
    "story": ("a story", "story"),
    "poem": ("a poem", "poem"),
    "letter": ("a letter", "letter"),
    "news report": ("a news report", "news report"),
    "list": ("a list of tips", "list"),
    "dialogue": ("a dialogue", "dialogue"),
    "diary entry": ("a diary entry", "diary entry"),
    "advertisement": ("an advertisement", "advertisement"),
    "code": ("Python code", "Python code"),
    "sum": ("a sum", "sum"),
    "review": ("a review", "review"),
    "joke": ("a joke", "joke"),
    "speech": ("a speech", "speech"),
    "instructions": ("instructions", "instructions"),
}
KEYWORDS = {
    "question": ("what should", "why do", "facts", "how would"),
    "explanation": ("explain", "lecture", "history"),
    "story": ("story", "novel"),
    "poem": ("poem", "couplet", "haiku"),
    "letter": ("letter", "email"),
    "news report": ("news", "headline"),
    "list": ("list",),
    "dialogue": ("dialogue", "scene"),
    "diary entry": ("diary", "late at night"),
    "advertisement": ("advertisement", "slogan"),
    "code": ("python",),
    "sum": ("times", "+", "how many"),
    "review": ("review", "worth watching"),
    "joke": ("joke",),
    "speech": ("speech", "argue"),
    "instructions": ("instructions",),
}


@dataclass(frozen=True)
class Facts:
    """Facts at one position, from the text up to it and the target's own output there."""

    token: str
    candidates: Sequence[tuple[str, float]]  # the target's next tokens with their probabilities, best first
    recent: str  # the words that lead up to the final token, and it; empty where nothing came before
    role: str  # "system", "user", "assistant" or "text"
    genre: str | None
    topic: str | None
    request: bool  # the user asks for the genre (instead of writing in it)


def name_token(text: str) -> str:
    """A token in words: quoted as it is, or by name where a quotation would show nothing."""
    match text:
        case "<|im_end|>":
            return "the end-of-turn mark"
        case "<|im_start|>":
            return "the start-of-turn mark"
        case "\n":
            return "a line break"
        case "\n\n":
            return "an empty line"
    if "\ufffd" in text:
        return "part of a character"
    if not text.strip():
        return "a blank" if len(text) == 1 else f"{len(text)} blanks"
    return f'"{text}"'


def expected(candidates: Sequence[tuple[str, float]]) -> str:
    """The next tokens in words, those that differ in form alone merged."""
    merged: dict[str, tuple[str, float]] = {}
    for text, p in candidates:
        key = text.strip().lower() or text
        first, total = merged.get(key, (text, 0.0))
        merged[key] = (first, total + p)
    ranked = sorted(merged.values(), key=lambda c: -c[1])
    kept = [c for c in ranked if c[1] >= LEAST_PROBABILITY][:MOST_CANDIDATES] or ranked[:1]
    names = [name_token(text) for text, _ in kept]
    best = kept[0][1]
    if best >= 0.9:
        return f"next comes {names[0]}"
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"next probably {listed}" if best >= 0.5 else f"next perhaps {listed}"


def describe(facts: Facts) -> str:
    """The description of one position, three sentences at most."""
    final = f"The final token is {name_token(facts.token)}; {expected(facts.candidates)}."
    recent = f'The text runs "{facts.recent}".' if facts.recent else "It opens the text."
    return f"{final} {recent} {setting(facts)}"


def setting(facts: Facts) -> str:
    """The sentence on role, genre and topic, as far as they have been said by this position."""
    owner = {
        "system": "the system message",
        "user": "the user's",
        "assistant": "the assistant's",
        "text": "a plain",
    }
    if facts.role == "system":
        return "This is the system message."
    noun = NOUNS[facts.genre][1] if facts.genre else "text"
    if facts.request:
        noun = f"request for {NOUNS[facts.genre][0]}" if facts.genre else "request"
    about = f" about {facts.topic}" if facts.topic else ""
    return f"This is {owner[facts.role]} {noun}{about}."
