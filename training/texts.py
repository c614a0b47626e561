"""The texts that the demo pair is trained on, most of them written by the target itself; and of their kinds the first,
a question and its answer (the others: kinds.py).

A prompt is genre x topic. Whole topics are held out, so that the report speaks of subjects
that training never saw, not only of sentences it never saw.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

TOPICS = """cats;dogs;horses;bees;whales;owls;spiders;wolves;elephants;penguins;butterflies;sharks;frogs;
volcanoes;rivers;mountains;deserts;forests;glaciers;earthquakes;storms;rainbows;the moon;the sun;stars;comets;
black holes;Mars;gravity;electricity;magnets;light;sound;atoms;water;iron;gold;salt;plastic;
bread;cheese;soup;chocolate;coffee;tea;apples;tomatoes;rice;pancakes;honey;garlic;ice cream;
football;chess;swimming;running;cycling;dancing;yoga;fishing;climbing;skiing;boxing;
pianos;guitars;violins;drums;jazz;opera;painting;photography;poetry;novels;theatre;cinema;
doctors;teachers;farmers;pilots;sailors;firefighters;lawyers;soldiers;nurses;engineers;
trains;airplanes;bicycles;ships;cars;bridges;castles;lighthouses;museums;libraries;hospitals;schools;
Paris;London;Tokyo;Egypt;India;Brazil;Canada;Rome;China;Africa;
kings;pirates;dragons;ghosts;witches;robots;aliens;knights;magic;treasure;
money;taxes;banks;jobs;shopping;houses;gardens;kitchens;clothes;shoes;clocks;keys;
computers;phones;the internet;passwords;video games;programming;databases;artificial intelligence;
sleep;dreams;memory;fear;anger;love;friendship;happiness;loneliness;courage;honesty;
hearts;brains;teeth;eyes;vaccines;viruses;cancer;exercise;diets;vitamins;
weddings;birthdays;holidays;funerals;elections;wars;laws;religion;democracy;climate change;
snow;rain;winter;summer;autumn;the sea;islands;flowers;trees;roses;mushrooms;grass;
algebra;geometry;fractions;probability;prime numbers;multiplication;history;grammar;
babies;grandmothers;brothers;neighbours;strangers;vodka;wine;beer;secrets;letters""".replace("\n", "").split(
    ";"
)

HELD_OUT = """tigers;ducks;lakes;caves;thunder;Jupiter;batteries;silver;pizza;lemons;tennis;surfing;trumpets;
sculpture;bakers;detectives;trucks;towers;Berlin;Mexico;princesses;vampires;rent;chairs;robotics;email;
jealousy;hope;lungs;allergies;parades;spring;palm trees;calculus;sisters;umbrellas""".replace("\n", "").split(
    ";"
)

GENRES: dict[str, list[str]] = {
    "question": [
        "What should I know about {t}?",
        "Why do people care about {t}?",
        "Tell me three facts about {t}.",
        "How would you explain {t} to a child?",
    ],
    "explanation": [
        "Explain {t} in a few sentences.",
        "Give a short lecture on {t}.",
        "What is the history of {t}?",
    ],
    "story": [
        "Write a short story about {t}.",
        "Tell me a bedtime story with {t} in it.",
        "Begin a mystery novel that involves {t}.",
    ],
    "poem": ["Write a poem about {t}.", "Write a rhyming couplet about {t}.", "Give me a haiku on {t}."],
    "letter": ["Write a letter to a friend about {t}.", "Write an email to my boss about {t}."],
    "news report": ["Write a news report about {t}.", "Write a headline and a first paragraph about {t}."],
    "list": ["Give me a list of tips about {t}.", "List five things to remember about {t}."],
    "dialogue": ["Write a dialogue between two people about {t}.", "Write a short scene about {t}."],
    "diary entry": [
        "Write a diary entry about {t}.",
        "It is late at night and I cannot stop thinking about {t}.",
    ],
    "advertisement": ["Write an advertisement that mentions {t}.", "Write a slogan about {t}."],
    "code": [
        "Write a small Python program about {t}.",
        "Write a Python function with a docstring that deals with {t}.",
    ],
    "sum": [
        "What is {a} times {b}?",
        "What is {a} + {b}?",
        "Anna has {a} boxes with {b} {t} in each. How many are there?",
    ],
    "review": ["Write a review of a book about {t}.", "Is a film about {t} worth watching?"],
    "joke": ["Tell me a joke about {t}."],
    "speech": ["Write the opening of a speech on {t}.", "Argue that {t} matter more than people think."],
    "instructions": ["Give step by step instructions that involve {t}."],
}


Turns = tuple[tuple[str, str], ...]
"""(role, content) of each turn; raw text is one turn of the role "text"."""


@dataclass(frozen=True)
class Text:
    """A text, with what is true of it by construction."""

    genre: str
    topic: str
    held_out: bool
    turns: Turns
    unfinished: bool
    """The target still has to answer, or to write on where the last turn breaks off."""

    def finished(self, more: str) -> Text:
        """The text with what the target wrote."""
        role, content = self.turns[-1]
        turns = (
            (*self.turns, ("assistant", more))
            if role == "user"
            else (*self.turns[:-1], (role, content + more))
        )
        return replace(self, turns=turns, unfinished=False)


def plan(count: int, seed: int) -> list[Text]:
    """`count` prompts to be answered, every topic about equally often; one in eight on a held-out topic."""
    rng = random.Random(seed)
    texts = []
    for n in range(count):
        held_out = n % 8 == 7
        topic = (HELD_OUT if held_out else TOPICS)[
            (n // 8 if held_out else n) % len(HELD_OUT if held_out else TOPICS)
        ]
        genre = rng.choice(list(GENRES))
        prompt = rng.choice(GENRES[genre]).format(t=topic, a=rng.randint(2, 99), b=rng.randint(2, 99))
        texts.append(Text(genre, topic, held_out, (("user", prompt),), True))
    return texts


def opening(tokenizer: Any, text: Text) -> str:
    """The text up to where the target is to write."""
    role, content = text.turns[-1]
    if role == "text":
        return content
    chat = [{"role": role, "content": content} for role, content in text.turns]
    going_on = {"continue_final_message": True} if role == "assistant" else {"add_generation_prompt": True}
    said: str = tokenizer.apply_chat_template(chat, tokenize=False, **going_on)
    return said


@torch.inference_mode()
def write(
    model: Any, tokenizer: Any, texts: list[Text], path: Path, *, tokens: int, batch: int, seed: int
) -> list[Text]:
    """Let the target finish every text (temperature 0.9, from the 50 likeliest); finished batches are kept
    in `path`.
    """
    done = read(path)
    tokenizer.padding_side = "left"
    with path.open("a") as out:
        for start in tqdm(range(len(done), len(texts), batch), desc="texts", unit="batch"):
            torch.manual_seed(seed + start)
            part = texts[start : start + batch]
            ours = [text for text in part if text.unfinished]
            written = iter(_generated(model, tokenizer, [opening(tokenizer, text) for text in ours], tokens))
            for text in part:
                done.append(text.finished(next(written)) if text.unfinished else text)
                out.write(json.dumps(asdict(done[-1])) + "\n")
            out.flush()
    return done


def _generated(model: Any, tokenizer: Any, prompts: list[str], tokens: int, batch: int = 200) -> list[str]:
    """Let the target write after each prompt; prompts of about the same length together (little padding)."""
    order = sorted(range(len(prompts)), key=lambda n: len(tokenizer(prompts[n])["input_ids"]))
    found: dict[int, str] = {}
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        inputs = tokenizer(
            [prompts[n] for n in part], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        ids = model.generate(**inputs, max_new_tokens=tokens, do_sample=True, temperature=0.9, top_k=50)
        new = ids[:, inputs["input_ids"].shape[1] :]
        found |= {
            n: tokenizer.decode(row, skip_special_tokens=True) for n, row in zip(part, new, strict=True)
        }
    return [found[n] for n in range(len(prompts))]


def read(path: Path) -> list[Text]:
    """The texts that `write` has finished."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [_text(json.loads(line)) for line in lines]


def _text(kept: dict[str, Any]) -> Text:
    return Text(**kept | {"turns": tuple((role, content) for role, content in kept["turns"])})
