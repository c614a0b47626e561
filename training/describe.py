"""Descriptions that the AV is taught: plain sentences on a position that its activation can support.

The order matters: the final token and what is expected next first, the recent words after, role and genre
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
    "article": ("an article", "article"),
    "forum post": ("a forum post", "forum post"),
    "email": ("an email", "email"),
    "documentation": ("documentation", "documentation"),
    "table": ("a table", "table"),
    "list of facts": ("facts", "facts"),
    "multiplication": ("a product", "multiplication"),
    "C++ code": ("C++ code", "C++ code"),
    "JavaScript code": ("JavaScript code", "JavaScript code"),
    "French text": ("a text in French", "text in French"),
    "German text": ("a text in German", "text in German"),
    "Spanish text": ("a text in Spanish", "text in Spanish"),
}
"""Each genre as what one asks for, and as what one writes."""
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
"""Words that tell the genres of a chat; the others are told by their text."""


@dataclass(frozen=True)
class Facts:
    """Facts at one position, from the text up to it and the target's own output there."""

    token: str
    candidates: Sequence[tuple[str, float]]  # the target's next tokens with their probabilities, best first
    recent: str  # the words that lead up to the final token, and it; empty where nothing came before
    role: str  # "system", "user", "assistant" or "text"
    genre: str | None
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


def ranked(candidates: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The next tokens, those that differ in form alone merged into the first of them, best first."""
    merged: dict[str, tuple[str, float]] = {}
    for text, p in candidates:
        key = text.strip().lower() or text
        first, total = merged.get(key, (text, 0.0))
        merged[key] = (first, total + p)
    return sorted(merged.values(), key=lambda c: -c[1])


def expected(candidates: Sequence[tuple[str, float]]) -> str:
    """The next tokens in words."""
    best_first = ranked(candidates)
    kept = [c for c in best_first if c[1] >= LEAST_PROBABILITY][:MOST_CANDIDATES] or best_first[:1]
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
    """The sentence on role and genre, as far as they can be told by this position. The topic is not named: the first
    edition named it, rightly in 2 of 26 cases.
    """
    if facts.role == "system":
        return "This is the system message."
    if facts.role == "text":
        return f"This is {NOUNS[facts.genre][0] if facts.genre else 'plain text'}."
    noun = NOUNS[facts.genre][1] if facts.genre else "text"
    if facts.request:
        noun = f"request for {NOUNS[facts.genre][0]}" if facts.genre else "request"
    return f"This is the {facts.role}'s {noun}."
