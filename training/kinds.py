"""The kinds of texts that the demo pair is trained on: what people type into an explorer, not only what a model says.

Questions, stories and the other genres of `texts.plan` are chats. Here are the rest: raw text that the target writes
on, conversations of several turns, long system messages, French, German and Spanish, code in three languages,
documentation, tables, lists, facts and multiplication. Of each kind one text in eight is held out: its topic, file,
sentences or beginning is in no text that is trained on, nor is a product times seven. The capitals and the names in
tables and facts are the same in all, and so are the rules of system messages and what is asked in other languages.
"""

from __future__ import annotations

import inspect
import pydoc_data.topics
import random
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from server.studies.countries import CAPITALS
from training.phrases import (
    ANSWERS,
    ASIDES,
    FACTS,
    FOLLOW_UPS,
    HEADINGS,
    LANGUAGES,
    NAMES,
    PEOPLE,
    QUESTIONS,
    RAW,
    RULES,
)
from training.texts import GENRES, HELD_OUT, TOPICS, Text, Turns, plan

SHARES: dict[str, float] = {
    "chat": 0.29, "prompt": 0.155, "raw": 0.11, "conversation": 0.065, "system": 0.04, "foreign": 0.11,
    "python": 0.06, "javascript": 0.03, "c++": 0.03, "documentation": 0.025,
    "table": 0.02, "list": 0.01, "fact": 0.025, "multiplication": 0.03,
}  # fmt: skip
MORE: dict[str, int] = {"python": 60, "javascript": 40, "c++": 50, "multiplication": 110}
"""Texts, more than their share, of what the pair reads worst: code, and the digits of products."""
EXCERPT = 700
"""Letters of a file that make a text: about as many tokens as a text may have."""

Made = tuple[str, str, bool, Turns, bool]
"""(genre, topic, held out, turns, whether the target writes on)"""


def _topic(rng: random.Random, held_out: bool) -> str:
    return rng.choice(HELD_OUT if held_out else TOPICS)


def _filled(template: str, rng: random.Random, topic: str) -> str:
    return template.format(
        t=topic, T=topic.capitalize(), p=rng.choice(PEOPLE), n=rng.choice(NAMES),
        a=rng.randint(2, 99), b=rng.randint(2, 99),
    )  # fmt: skip


def _ask(rng: random.Random, topic: str) -> tuple[str, str]:
    """(genre, a prompt in it)."""
    genre = rng.choice(list(GENRES))
    return genre, _filled(rng.choice(GENRES[genre]), rng, topic)


def _prompt(rng: random.Random, n: int) -> Made:
    """A question or two as people type them, without an answer."""
    held = n % 8 == 7
    topic = _topic(rng, held)
    forms = QUESTIONS[-8:] if held else QUESTIONS[:-8]
    said = [rng.choice(forms) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.4:
        said.insert(rng.randint(0, len(said)), rng.choice(ASIDES))
    c, d = rng.sample(list(CAPITALS), 2)
    named = {"c": c, "d": d, "u": _topic(rng, held)}
    for key, word in named.items():
        said = [form.replace(f"{{{key}}}", word) for form in said]
    return "prompt", topic, held, (("user", " ".join(_filled(form, rng, topic) for form in said)),), False


def _raw(rng: random.Random, n: int) -> Made:
    held = n % 8 == 7
    genre = rng.choice(list(RAW))
    topic = _topic(rng, held)
    return genre, topic, held, (("text", _filled(rng.choice(RAW[genre]), rng, topic)),), True


def _conversation(rng: random.Random, n: int) -> Made:
    """A question, a short answer, and a second question."""
    held = n % 8 == 7
    topic = _topic(rng, held)
    genre, asked = _ask(rng, topic)
    answer = " ".join(_filled(sentence, rng, topic) for sentence in rng.sample(ANSWERS, rng.randint(1, 3)))
    turns = (("user", asked), ("assistant", answer), ("user", _filled(rng.choice(FOLLOW_UPS), rng, topic)))
    return genre, topic, held, turns, True


def _system(rng: random.Random, n: int) -> Made:
    held = n % 8 == 7
    topic = _topic(rng, held)
    genre, asked = _ask(rng, topic)
    rules = " ".join(_filled(rule, rng, _topic(rng, held)) for rule in rng.sample(RULES, rng.randint(3, 8)))
    return genre, topic, held, (("system", rules), ("user", asked)), True


def _foreign(rng: random.Random, n: int) -> Made:
    """A request that the target answers as well as it can, or a paragraph."""
    language = list(LANGUAGES)[n % 3]
    words = LANGUAGES[language]
    held = n // 3 % 8 == 7
    topic = rng.choice(words["topics"][-4:] if held else words["topics"][:-4])
    if n % 2:
        return (
            f"{language} text",
            topic,
            held,
            (("user", rng.choice(words["requests"]).format(t=topic)),),
            True,
        )
    known = words["sentences"][-4:] if held else words["sentences"][:-4]
    said = " ".join(sentence.format(t=topic) for sentence in rng.sample(known, min(len(known), 7)))
    return f"{language} text", topic, held, (("text", said),), held


def _excerpts(files: list[Path], genre: str) -> Callable[[random.Random, int], Made]:
    """Pieces of files that are on every machine where this runs; one file in eight is held out."""
    kept = sorted(
        (f for f in files if f.stat().st_size > 3 * EXCERPT), key=lambda f: (f.name, f.stat().st_size)
    )

    def make(rng: random.Random, n: int) -> Made:
        held = n % 8 == 7
        path = rng.choice([f for i, f in enumerate(kept) if (i % 8 == 7) == held] or kept)
        text = path.read_text(errors="ignore")
        lines = text[rng.randrange(max(1, len(text) - EXCERPT)) :].split("\n")[1:]
        return genre, path.stem, held, (("text", "\n".join(lines)[:EXCERPT]),), False

    return make


def _documentation(rng: random.Random, n: int) -> Made:
    held = n % 8 == 7
    name = rng.choice(
        [name for i, name in enumerate(sorted(pydoc_data.topics.topics)) if (i % 8 == 7) == held]
    )
    text = pydoc_data.topics.topics[name]
    paragraphs = text[rng.randrange(max(1, len(text) - EXCERPT)) :].split("\n")
    return (
        "documentation",
        name,
        held,
        (("text", "\n".join(paragraphs[1:])[:EXCERPT] or text[:EXCERPT]),),
        False,
    )


def _table(rng: random.Random, n: int) -> Made:
    held = n % 8 == 7
    rows = [
        (rng.choice(NAMES), str(rng.randint(5, 90)), *rng.choice(list(CAPITALS.items()))) for _ in range(5)
    ]
    columns = ("Name", "Age", "Country", "Capital")
    chosen = rng.sample(range(4), rng.randint(2, 4))
    if rng.random() < 0.4:
        lines = [",".join(line[i] for i in chosen) for line in (columns, *rows)]
    else:
        lines = ["| " + " | ".join(line[i] for i in chosen) + " |" for line in (columns, *rows)]
        lines.insert(1, "|" + " --- |" * len(chosen))
    return "table", "people", held, (("text", "\n".join(lines) + "\n"),), True


def _list(rng: random.Random, n: int) -> Made:
    held = n % 8 == 7
    mark = rng.choice(["- ", "1. ", "* "])
    return (
        "list",
        "things",
        held,
        (("text", f"{rng.choice(HEADINGS)}\n\n{mark}{_topic(rng, held).capitalize()}\n"),),
        True,
    )


def _fact(rng: random.Random, n: int) -> Made:
    """Capitals one after another, or the beginning of something that everybody knows."""
    held = n % 8 == 7
    if rng.random() < 0.5:
        cities = rng.sample(list(CAPITALS.items()), 6)
        form = rng.choice(
            ["The capital of {c} is {k}.", "Q: What is the capital of {c}?\nA: {k}\n", "{c}: {k}\n"]
        )
        said = (" " if form.endswith(".") else "").join(form.format(c=c, k=k) for c, k in cities)
        return "list of facts", "capitals", held, (("text", said),), False
    known = FACTS[-4:] if held else FACTS[:-4]
    return "list of facts", "facts", held, (("text", rng.choice(known)),), True


def multiplication(rng: random.Random, held_out: bool) -> Turns:
    """Eight worked lines and a problem, as the study of multiplication asks it: all times seven, or none."""
    pairs = [(a, b) for a in range(20, 100) for b in range(2, 10) if (b == 7) == held_out]
    *worked, (a, b) = rng.sample(pairs, 9)
    begun = f"{a} * {b} ="
    asked = "\n".join(["Multiply.", *(f"{x} * {y} = {x * y}" for x, y in worked), begun])
    return ("user", asked), ("assistant", begun)


def _multiplication(rng: random.Random, n: int) -> Made:
    held = n % 8 == 7
    return "multiplication", "products", held, multiplication(rng, held), True


def makers() -> dict[str, Callable[[random.Random, int], Made]]:
    """Make the nth text of each kind."""
    library = Path(sysconfig.get_paths()["stdlib"])
    headers = Path(inspect.getfile(torch)).parent / "include" / "ATen"
    scripts = Path(__file__).parents[1] / "static"
    return {
        "prompt": _prompt,
        "raw": _raw,
        "conversation": _conversation,
        "system": _system,
        "foreign": _foreign,
        "python": _excerpts(list(library.glob("*.py")), "code"),
        "javascript": _excerpts(list(scripts.glob("*.js")), "JavaScript code"),
        "c++": _excerpts(list(headers.glob("*.h")), "C++ code"),
        "documentation": _documentation,
        "table": _table,
        "list": _list,
        "fact": _fact,
        "multiplication": _multiplication,
    }


def every(count: int, seed: int) -> list[Text]:
    """About `count` texts of all kinds in their shares, each kind spread over the whole."""
    lined: list[tuple[float, Text]] = []

    def spread(texts: Iterator[Text], share: float) -> None:
        number = max(1, round(share * count))
        lined.extend(((n + 0.5) / number, text) for n, text in enumerate(islice(texts, number)))

    for kind, share in SHARES.items():
        if kind == "chat":
            spread(iter(plan(max(1, round(share * count)), seed)), share)
        else:
            rng, make = random.Random(f"{seed} {kind}"), makers()[kind]
            spread((Text(*make(rng, n)) for n in range(count)), share)
    return [text for _, text in sorted(lined, key=lambda each: each[0])]


def more(seed: int, numbers: dict[str, int] = MORE) -> list[Text]:
    """Texts of some kinds, none of them held out or left for the target to finish."""
    found: list[Text] = []
    for kind, number in numbers.items():
        rng, make = random.Random(f"{seed} more {kind}"), makers()[kind]
        made = (Text(*make(rng, n)) for n in range(2 * number) if n % 8 != 7)
        found += [replace(text, unfinished=False) for text in islice(made, number)]
    return found
