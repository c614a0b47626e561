"""The composer: from form fields to an AnalysisRequest and back, with every message beside its field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from frontend.home import chat_turns
from frontend.home.chat_turns import Chat, Turn
from frontend.home.examples import BY_KEY, SUGGESTED
from frontend.typed_form import FormError, TypedForm, sent
from server.analyses.limits import LETTERS_PER_TOKEN
from server.analyses.schema import HOTTEST, LAST_SEED, SEVERAL, AnalysisRequest, Generate, Verbalise
from server.errors import FieldError
from server.settings import Settings

POSITIONS = ("all", "prompt", "generated")

# Where a field of the API stands in the form; the longest prefix wins, all else goes to the form's head.
PLACES = {
    "pair": "pair",
    "also": "also",
    "messages": "prompt",
    "continue_final_message": "prefill",
    "text": "prompt",
    "prompt": "prompt",
    "generate.temperature": "reply_temperature",
    "generate.seed": "reply_seed",
    "generate": "reply_tokens",
    "positions": "positions",
    "verbalise.temperature": "av_temperature",
    "verbalise.samples": "samples",
    "verbalise.max_new_tokens": "reading_tokens",
    "verbalise.seed": "seed",
}


@dataclass(frozen=True)
class Limits:
    """Limits of this server, for the bounds of the fields. It refuses what is beyond them by the same settings,
    whatever a browser makes of these.
    """

    prompt_letters: int
    reply_tokens: int
    samples: int
    reading_tokens: int
    temperature: int = HOTTEST
    seed: int = LAST_SEED

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits of a server with these settings."""
        letters = settings.max_prompt_tokens * LETTERS_PER_TOKEN
        return cls(letters, settings.max_reply_tokens, settings.max_samples, settings.max_reading_tokens)


@dataclass(frozen=True)
class Form(TypedForm):
    """Values of the composer.

    `prompt` is raw text or, by `role`, the first turn of a chat; `turns` are those after it; `prefill` is the
    beginning of the reply. `focus` is the field to type in next. Without a `reply_seed`, `seed` is the
    reply's too.
    """

    # Not `causal`: on a GPU it is ticked from the start.
    FOLDED = ("reply_temperature", "av_temperature", "samples", "reading_tokens", "seed", "reply_seed")
    mode: str = "chat"
    pair: str = ""
    also: str = ""
    prompt: str = SUGGESTED
    role: str = "user"
    turns: tuple[Turn, ...] = ()
    prefill: str = ""
    system: str = ""
    focus: str = ""
    reply_tokens: str = "48"
    positions: str = "all"
    reply_temperature: str = "0"
    av_temperature: str = ""
    samples: str = "1"
    reading_tokens: str = "200"
    seed: str = "0"
    reply_seed: str = ""
    causal: str = ""

    @property
    def chat(self) -> Chat:
        """The fields of the chat."""
        return Chat(Turn(self.role, self.prompt), self.system, self.turns, self.prefill)

    @property
    def several(self) -> bool:
        """True if it must be said who speaks first."""
        return bool(self.turns) or self.role != "user"

    @property
    def numbered(self) -> list[int] | None:
        """The positions, where they are asked for by number."""
        parts = self.positions.split(",")
        return [int(part) for part in parts] if all(map(_is_position, parts)) else None


def blank(limits: Limits) -> Form:
    """The form of somebody who has not typed yet."""
    return Form(
        reply_tokens=str(min(int(Form.reply_tokens), limits.reply_tokens)),
        reading_tokens=str(min(int(Form.reading_tokens), limits.reading_tokens)),
    )


def read(fields: Mapping[str, str]) -> Form:
    """The form as it was sent; an example button replaces all that is said and keeps the settings."""
    form = replace(sent(Form, fields), turns=chat_turns.read(fields), focus="")
    example = BY_KEY.get(fields.get("example", ""))
    if example is None:
        return form
    return replace(
        form, mode=example.mode, prompt=example.prompt, role="user", turns=(), system="", prefill=""
    )


def changed(form: Form, command: str) -> Form:
    """The form with a turn more or less, as one of its buttons asks."""
    found = chat_turns.changed(form.chat.first, form.turns, command)
    focus = chat_turns.field(len(found) - 1) if len(found) > len(form.turns) else "add"
    return replace(form, turns=found, focus=focus)


def request(form: Form) -> AnalysisRequest:
    """The request that the form asks for. Raises FormError with one message a field."""
    errors: dict[str, str] = {}

    def whole(name: str, low: int) -> int:
        value = _number(form[name])
        if value is None or value != int(value) or not low <= value <= LAST_SEED:
            errors[name] = f"Give a whole number, {low} or more."
            return low
        return int(value)

    def decimal(name: str) -> float:
        value = _number(form[name])
        if value is None or not 0 <= value <= HOTTEST:
            errors[name] = f"Give a number from 0 to {HOTTEST}."
            return 0.0
        return value

    if form.mode == "raw" and not form.prompt.strip("\n"):
        errors["prompt"] = "Type a prompt first."
    elif form.mode == "chat":
        errors |= form.chat.wrong
    reply, seed = whole("reply_tokens", 0), whole("seed", 0)
    samples, reading_tokens = whole("samples", 1), whole("reading_tokens", 1)
    reply_seed = whole("reply_seed", 0) if form.reply_seed.strip() else seed
    reply_temperature = decimal("reply_temperature")
    av_temperature = decimal("av_temperature") if form.av_temperature.strip() else None
    if form.mode not in ("chat", "raw"):
        errors["form"] = "The prompt is either a chat or raw text."
    if form.positions not in POSITIONS and form.numbered is None:
        errors["positions"] = "Choose which tokens to read."
    elif form.positions == "generated" and reply == 0:
        errors["positions"] = "With no reply there are no reply tokens to read."
    if errors:
        raise FormError(errors)
    asked: dict[str, Any] = {
        "pair": form.pair or None,
        "also": [name for name in form.also.split(",") if name and name != form.pair],
        "positions": form.positions if form.numbered is None else form.numbered,
        "generate": Generate(max_new_tokens=reply, temperature=reply_temperature, seed=reply_seed)
        if reply
        else None,
        "verbalise": Verbalise(
            temperature=av_temperature, max_new_tokens=reading_tokens, samples=samples, seed=seed
        ),
    }
    if form.mode == "raw":
        return AnalysisRequest(text=form.prompt, **asked)
    return AnalysisRequest(messages=form.chat.messages, continue_final_message=bool(form.prefill), **asked)


def fill(asked: AnalysisRequest) -> Form:
    """The form that would ask for this again."""
    chat = Chat.of(asked)
    voice, reply = asked.verbalise, asked.generate
    unasked = 0.0 if voice.samples == 1 else SEVERAL  # what an empty field stands for
    return Form(
        mode="raw" if asked.text is not None else "chat",
        pair=asked.pair or "",
        also=",".join(asked.also),
        prompt=asked.text if asked.text is not None else chat.first.content,
        role=chat.first.role,
        turns=tuple(chat.turns),
        prefill=chat.prefill,
        system=chat.system,
        reply_tokens=str(reply.max_new_tokens if reply else 0),
        positions=asked.positions
        if isinstance(asked.positions, str)
        else ",".join(map(str, asked.positions)),
        reply_temperature=f"{reply.temperature if reply else 0:.12g}",
        av_temperature="" if voice.temperature in (None, unasked) else f"{voice.temperature:.12g}",
        samples=str(voice.samples),
        reading_tokens=str(voice.max_new_tokens),
        seed=str(voice.seed),
        reply_seed=str(reply.seed) if reply and reply.seed != voice.seed else "",
    )


def place(problems: tuple[FieldError, ...], detail: str, form: Form) -> dict[str, str]:
    """Sort the server's errors by field; those without a field go to the head of the form."""
    errors: dict[str, str] = {}
    for problem in problems:
        parts = problem.field.split(".")
        paths = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        name = next((PLACES[path] for path in paths if path in PLACES), "form")
        if form.mode == "chat" and parts[0] == "messages" and len(parts) > 1:
            name = form.chat.spoken[int(parts[1])][0]
        if name in ("pair", "also") and not form.pair:
            name = "form"
        if name == "reply_seed" and not form.reply_seed:
            name = "seed"
        errors.setdefault(name, problem.detail)
    return errors or {"form": detail}


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def _number(text: str) -> float | None:
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None
