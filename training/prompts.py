"""Texts that the report reads beside the held-out ones: twelve prompts of the kinds that people type, none of them of
the recipe's making, and multiplication, whose digits are to be told apart.
"""

from __future__ import annotations

import random
import re

import numpy as np

from server.nla.types import Floats
from training.claims import Claims
from training.kinds import multiplication
from training.texts import Text, Turns

PROBLEMS = 16
_SYSTEM = (
    "You work at the desk of a small hotel on the coast. Guests write to you in the app. Breakfast is from seven to "
    "ten, the pool closes at nine in the evening, and pets are welcome in the garden rooms alone. Towels can be had "
    "in the hall. Never promise a discount, never give out the names of other guests, and if somebody is ill, tell "
    "them to call 112 first. Write short, friendly messages, and sign them with Clara."
)
TWELVE: dict[str, Turns] = {
    "fact": (("user", "Who painted the ceiling of the Sistine Chapel, and how long did it take?"),),
    "question": (("user", "My sourdough does not rise although the starter bubbles. What am I doing wrong?"),),
    "arithmetic": (("user", "A train leaves at 14:35 and needs 2 hours and 50 minutes. When does it arrive?"),),
    "code": (
        ("user", "Write a JavaScript function that removes duplicates from an array without changing its order."),
    ),
    "French": (("user", "Quels sont les avantages et les inconvénients du télétravail ?"),),
    "story": (("text", "The lift had been out of order for eleven days when Mrs Okafor heard it move. She put down"),),
    "list": (("user", "Seven things I could do with an old wooden ladder"),),
    "dialogue": (
        ("user", "Hi, my parcel was meant to come on Thursday."),
        ("assistant", "I am sorry to hear that. Could you give me the tracking number?"),
        ("user", "It is on the receipt, which is in the parcel."),
    ),
    "news": (
        (
            "text",
            "GENEVA, March 12 - Glaciers in the Alps lost more ice last year than in any year since measurements "
            "began, the World Meteorological Organization said on Wednesday,",
        ),
    ),
    "long system message": (("system", _SYSTEM), ("user", "Can we bring our dog, and is the pool heated?")),
    "poem": (("user", "Four lines about an empty tram at night, no rhymes please."),),
    "table": (
        (
            "text",
            "| planet | moons | rings |\n| --- | --- | --- |\n| Mars | 2 | no |\n| Saturn | 146 | yes |\n| Neptune |",
        ),
    ),
}  # fmt: skip


def texts(seed: int) -> list[Text]:
    """The twelve, and problems times seven, which are in no text that is trained on."""
    rng = random.Random(f"{seed} problems")
    asked = [multiplication(rng, held_out=True) for _ in range(PROBLEMS)]
    prompts = [Text(kind, kind, True, turns, True) for kind, turns in TWELVE.items()]
    return [*prompts, *(Text("multiplication", "products", True, turns, True) for turns in asked)]


def place(description: str) -> int | None:
    """Count the digits of a product before the one that is to come; None where none is."""
    product = re.search(r'=((?: ?\d)*)"\.$', description)
    return len(re.findall(r"\d", product[1])) if product else None


def digits(said: list[Claims], true: list[Claims], owners: list[int]) -> tuple[list[int], Floats, Floats]:
    """The positions before a digit of a product, by the target's own first choice: which of those given, whether the
    first candidate is that digit, and how often it is that of another text at the same place of its product, both [n].
    """
    places = [
        place(claims.text) if re.fullmatch(r'" ?\d"', claims.candidates[0]) else None for claims in true
    ]
    kept, own, shuffled = [], [], []
    for n, at in enumerate(places):
        others = [o for o, there in enumerate(places) if there == at and owners[o] != owners[n]]
        if at is None or not others:
            continue
        kept.append(n)
        own.append(said[n].candidates[0] == true[n].candidates[0])
        shuffled.append(np.mean([said[n].candidates[0] == true[o].candidates[0] for o in others]))
    return kept, np.array(own, np.float32), np.array(shuffled, np.float32)
