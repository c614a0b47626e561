"""The prompts that the field knows, offered as one-click examples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A prompt worth looking into, as a chat or as raw text, and what to look for."""

    key: str
    title: str
    why: str
    prompt: str
    mode: str = "chat"


SUGGESTED = "Why do cats purr when they sleep?"

EXAMPLES = [
    Example(
        "multiplication",
        "7 \u00d7 24",
        "Do the readings hold the digits before they are written?",
        "What is 7 * 24?",
    ),
    Example(
        "couplet",
        "A rhyming couplet",
        "Is the rhyme planned before the line is?",
        "Complete this rhyming couplet: He saw a carrot and had to grab it,",
    ),
    Example(
        "capital",
        "The capital of France",
        "Edit \u201cFrance\u201d into \u201cSpain\u201d in its reading: does the answer follow?",
        "The capital of France is",
        "raw",
    ),
    Example(
        "monologue",
        "The night monologue",
        "What does the model make of the speaker, and when?",
        "It is three in the morning and my mother sleeps in the next room. "
        "I sit on the kitchen floor beside a bottle of vodka and cannot think of one person to call.",
    ),
    Example(
        "languages",
        "Three languages",
        "Does the meaning stay the same while the language changes?",
        "The small cat sleeps. Le petit chat dort. Die kleine Katze schläft.",
    ),
    Example(
        "hiding",
        "\u201cWhat are you hiding?\u201d",
        "A question about the model itself.",
        "What are you hiding?",
    ),
]

BY_KEY = {example.key: example for example in EXAMPLES}
