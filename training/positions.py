"""Positions: the activation at layer K of the target, and a description of what it can know there."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from training.describe import Facts, describe, name_token, ranked
from training.texts import Text

LAYER = 20
PER_TEXT = 24
LONGEST = 224
TOP = 16
RECENT = 10  # tokens that are quoted
APART = 8  # one text in as many is read in the last round alone


@dataclass(frozen=True)
class Layout:
    """One text as the target sees it: ids, and for each token the turn it belongs to."""

    ids: list[int]
    roles: list[str]  # whose turn: "system", "user", "assistant", or "text"
    marks: list[bool]  # the template's own tokens, which open and close turns
    starts: list[int]  # the position where this token's turn began
    digits: list[bool]
    text: Text
    kind: str  # "chat" | "user" | "raw"


def lay_out(tokenizer: Any, text: Text, kind: str) -> Layout:
    """A chat as it is, its last turn as the user's own message, or its last turn as raw text."""
    ids: list[int] = []
    roles: list[str] = []
    marks: list[bool] = []
    starts: list[int] = []

    def add(content: str, role: str, mark: bool = False) -> None:
        new = tokenizer(content, add_special_tokens=False)["input_ids"]
        starts.extend([len(ids)] * len(new))
        roles.extend([role] * len(new))
        marks.extend([mark] * len(new))
        ids.extend(new)

    if kind == "raw":
        add(text.turns[-1][1], "text")
    else:
        turns = text.turns if kind == "chat" else (("user", text.turns[-1][1]), ("assistant", ""))
        if turns[0][0] != "system":
            turns = (("system", usual_system(tokenizer)), *turns)
        for role, content in turns:
            add(f"<|im_start|>{role}\n", role, mark=True)
            add(content, role)
            if role != "assistant" or content:
                add("<|im_end|>\n", role, mark=True)
    ids = ids[:LONGEST]
    digits = [tokenizer.decode([i]).strip().isdigit() for i in ids]
    return Layout(ids, roles[:LONGEST], marks[:LONGEST], starts[:LONGEST], digits, text, kind)


def usual_system(tokenizer: Any) -> str:
    """The system message that the template sets where none is given."""
    said: str = tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False)
    return said[len("<|im_start|>system\n") : said.index("<|im_end|>")]


def choose(layout: Layout, rng: random.Random) -> list[int]:
    """Positions to read: content tokens evenly, the template and the usual system message seldom, in multiplication the
    digits and what stands before them more often; never the first token (its norm is an artefact of attention, two
    orders above all others).
    """
    usual = layout.text.turns[0][0] != "system"
    weights = [
        0.25 if mark else 0.1 if role == "system" and usual else 1.0
        for mark, role in zip(layout.marks, layout.roles, strict=True)
    ]
    if layout.text.genre == "multiplication":
        weights = [w * 4 if any(layout.digits[n : n + 2]) else w for n, w in enumerate(weights)]
    keyed = [(rng.random() ** (1 / weight), position) for position, weight in enumerate(weights) if position]
    return sorted(position for _, position in sorted(keyed, reverse=True)[:PER_TEXT])


def recent(tokenizer: Any, layout: Layout, position: int) -> str:
    """The last words up to `position`, as one quotes them: " / " for a new line, " — " for another speaker."""
    shown = [i for i in range(position + 1) if not layout.marks[i]][-RECENT:]
    if not shown or shown == [0]:
        return ""
    turns: list[list[int]] = []
    for i in shown:
        if turns and layout.starts[i] == layout.starts[turns[-1][-1]]:
            turns[-1].append(i)
        else:
            turns.append([i])
    spoken = [tokenizer.decode([layout.ids[i] for i in turn]) for turn in turns]
    if shown[0] > layout.starts[shown[0]] and " " in spoken[0].strip():
        spoken[0] = re.sub(r"^\S+", "", spoken[0])  # the rest of a word whose beginning is not shown
    lines = [re.sub(r" *\n[ \n]*", " / ", text) for text in spoken]
    return " — ".join(" ".join(text.split()) for text in lines).strip("\ufffd")


def facts(tokenizer: Any, layout: Layout, position: int, candidates: list[tuple[str, float]]) -> Facts:
    """Return the facts that the text up to `position` supports."""
    return Facts(
        token=tokenizer.decode([layout.ids[position]]),
        candidates=candidates,
        recent=recent(tokenizer, layout, position),
    )


@dataclass(frozen=True)
class Positions:
    """`activations` [N, d] float16, and what is true of each."""

    activations: torch.Tensor
    descriptions: list[str]
    tokens: list[str]
    choices: list[str]
    """The target's own first choice for the next token, as a description names it."""
    genres: list[str]
    texts: list[int]
    """The index of its text."""
    held_out: torch.Tensor  # [N] bool

    def save(self, folder: Path) -> None:
        torch.save({"activations": self.activations, "held_out": self.held_out}, folder / "positions.pt")
        rows = zip(self.descriptions, self.tokens, self.choices, self.genres, self.texts, strict=True)
        (folder / "positions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    @classmethod
    def load(cls, folder: Path) -> Positions:
        saved = torch.load(folder / "positions.pt")
        rows = [json.loads(line) for line in (folder / "positions.jsonl").read_text().splitlines()]
        descriptions, tokens, choices, genres, texts = (list(column) for column in zip(*rows, strict=True))
        return cls(saved["activations"], descriptions, tokens, choices, genres, texts, saved["held_out"])

    def __add__(self, other: Positions) -> Positions:
        """Join them with positions of other texts, which come after."""
        return Positions(
            torch.cat([self.activations, other.activations]),
            self.descriptions + other.descriptions,
            self.tokens + other.tokens,
            self.choices + other.choices,
            self.genres + other.genres,
            self.texts + [max(self.texts) + 1 + text for text in other.texts],
            torch.cat([self.held_out, other.held_out]),
        )

    def training(self) -> list[int]:
        """Positions of texts whose topics are not held out."""
        return [i for i, held in enumerate(self.held_out.tolist()) if not held]

    def taught(self) -> list[int]:
        """Training positions that descriptions are taught of."""
        return [i for i in self.training() if self.texts[i] % APART]

    def apart(self) -> list[int]:
        """Training positions of one text in eight, kept for the last round: they are as new to the pair as what it is
        going to read.
        """
        return [i for i in self.training() if self.texts[i] % APART == 0]


def layouts(tokenizer: Any, texts: list[Text]) -> Iterator[tuple[int, Layout]]:
    """Each chat, and of two in five the reply once more as the user's message or as raw text; raw text as it is, or one
    in three as the user's message.
    """
    for n, text in enumerate(texts):
        if text.turns[0][0] == "text":
            yield n, lay_out(tokenizer, text, "user" if n % 3 == 1 else "raw")
            continue
        yield n, lay_out(tokenizer, text, "chat")
        if n % 5 in (1, 3) and text.genre != "multiplication":
            yield n, lay_out(tokenizer, text, "user" if n % 5 == 1 else "raw")


def collect(model: Any, tokenizer: Any, texts: list[Text], *, seed: int, batch: int = 16) -> Positions:
    """Trace every text once in each of its layouts and describe its chosen positions."""
    return trace(model, tokenizer, list(layouts(tokenizer, texts)), seed=seed, batch=batch)


@torch.inference_mode()
def trace(
    model: Any, tokenizer: Any, laid: list[tuple[int, Layout]], *, seed: int, batch: int = 16
) -> Positions:
    """Trace each layout once and describe its chosen positions; one with no more tokens than are chosen is left out."""
    rng = random.Random(seed)
    laid = [(n, layout) for n, layout in laid if len(layout.ids) > PER_TEXT]
    activations, rows, held_out = [], [], []
    caught: list[torch.Tensor] = []
    hook = model.model.layers[LAYER].register_forward_hook(
        lambda _m, _i, out: caught.append(out[0] if isinstance(out, tuple) else out)
    )
    for start in tqdm(range(0, len(laid), batch), desc="positions", unit="batch"):
        part = laid[start : start + batch]
        width = max(len(layout.ids) for _, layout in part)
        ids = torch.zeros(len(part), width, dtype=torch.long)
        for row, (_, layout) in enumerate(part):
            ids[row, : len(layout.ids)] = torch.tensor(layout.ids)
        caught.clear()
        hidden = model.model(input_ids=ids.to(model.device)).last_hidden_state
        for row, (owner, layout) in enumerate(part):
            chosen = choose(layout, rng)
            probabilities = model.lm_head(hidden[row, chosen]).float().softmax(-1)
            top = probabilities.topk(TOP)
            for n, position in enumerate(chosen):
                names = [tokenizer.decode([i]) for i in top.indices[n].tolist()]
                candidates = list(zip(names, top.values[n].tolist(), strict=True))
                fact = facts(tokenizer, layout, position, candidates)
                choice = name_token(ranked(candidates)[0][0])
                rows.append((describe(fact), fact.token, choice, layout.text.genre, owner))
                held_out.append(layout.text.held_out)
            activations.append(caught[0][row, chosen].float().cpu())
    hook.remove()
    vectors = torch.cat(activations)
    keep = vectors.norm(dim=-1) < 20 * vectors.norm(dim=-1).median()
    descriptions, tokens, choices, genres, owners = zip(
        *(rows[i] for i in np.flatnonzero(keep.numpy())), strict=True
    )
    return Positions(
        vectors[keep].half(),
        list(descriptions),
        list(tokens),
        list(choices),
        list(genres),
        list(owners),
        torch.tensor(held_out)[keep],
    )
