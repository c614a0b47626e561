"""The composer: from form fields to an AnalysisRequest and back, with every message beside its field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from frontend.examples import BY_KEY, SUGGESTED
from server.analyses.checks import LETTERS_PER_TOKEN
from server.analyses.schema import HOTTEST, LAST_SEED, AnalysisRequest, Generate, Message, Verbalise
from server.errors import FieldError
from server.settings import Settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

F = TypeVar("F", bound="DataclassInstance")
POSITIONS = ("all", "prompt", "generated")

# Where a field of the API stands in the form; the longest prefix wins, all else goes to the form's head.
PLACES = {
    "pair": "pair",
    "also": "also",
    "messages.0": "system",
    "messages": "prompt",
    "text": "prompt",
    "prompt": "prompt",
    "generate.temperature": "reply_temperature",
    "generate.seed": "seed",
    "generate": "reply_tokens",
    "positions": "positions",
    "verbalise.temperature": "av_temperature",
    "verbalise.samples": "samples",
    "verbalise.seed": "seed",
}


@dataclass(frozen=True)
class Limits:
    """What this server takes, for the fields' own bounds. It refuses what is beyond them by the same settings, whatever
    a browser makes of these.
    """

    prompt_letters: int
    reply_tokens: int
    samples: int
    temperature: int = HOTTEST
    seed: int = LAST_SEED

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits of a server with these settings."""
        letters = settings.max_prompt_tokens * LETTERS_PER_TOKEN
        return cls(letters, settings.max_reply_tokens, settings.max_samples)


@dataclass(frozen=True)
class Form:
    """What stands in the composer, as strings: whatever was typed is shown again, right or wrong."""

    mode: str = "chat"
    pair: str = ""
    also: str = ""
    prompt: str = SUGGESTED
    system: str = ""
    reply_tokens: str = "48"
    positions: str = "all"
    reply_temperature: str = "0"
    av_temperature: str = ""
    samples: str = "1"
    seed: str = "0"
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def more_open(self) -> bool:
        """Whether the folded settings must be seen: one of them is wrong or was changed."""
        folded = ("reply_temperature", "av_temperature", "samples", "seed")
        default = Form()
        return any(name in self.errors or getattr(self, name) != getattr(default, name) for name in folded)

    def __getitem__(self, name: str) -> str:
        return str(getattr(self, name))


class FormError(ValueError):
    """Some fields cannot be used; `errors` maps each to its message."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in errors.items()))
        self.errors = dict(errors)


def sent(form: type[F], fields: Mapping[str, str]) -> F:
    """A form of this kind as it was sent: of its fields, those that were."""
    names = [name for name in form.__dataclass_fields__ if name != "errors" and name in fields]
    typed: dict[str, Any] = {name: fields[name].replace("\r\n", "\n") for name in names}
    return form(**typed)


def blank(limits: Limits) -> Form:
    """The form of somebody who has not typed yet."""
    return Form(reply_tokens=str(min(int(Form.reply_tokens), limits.reply_tokens)))


def read(fields: Mapping[str, str]) -> Form:
    """The form as it was sent; an example button replaces the prompt and keeps the settings."""
    form = sent(Form, fields)
    example = BY_KEY.get(fields.get("example", ""))
    return replace(form, mode=example.mode, prompt=example.prompt, system="") if example else form


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

    if not form.prompt.strip("\n"):
        errors["prompt"] = "Type a prompt first."
    reply, seed = whole("reply_tokens", 0), whole("seed", 0)
    samples = whole("samples", 1)
    reply_temperature = decimal("reply_temperature")
    av_temperature = decimal("av_temperature") if form.av_temperature.strip() else None
    if form.mode not in ("chat", "raw"):
        errors["form"] = "The prompt is either a chat or raw text."
    if form.positions not in POSITIONS:
        errors["positions"] = "Choose which tokens to read."
    elif form.positions == "generated" and reply == 0:
        errors["positions"] = "With no reply there are no reply tokens to read."
    if errors:
        raise FormError(errors)
    asked: dict[str, Any] = {
        "pair": form.pair or None,
        "also": [name for name in form.also.split(",") if name and name != form.pair],
        "positions": form.positions,
        "generate": Generate(max_new_tokens=reply, temperature=reply_temperature, seed=seed)
        if reply
        else None,
        "verbalise": Verbalise(temperature=av_temperature, samples=samples, seed=seed),
    }
    if form.mode == "raw":
        return AnalysisRequest(text=form.prompt, **asked)
    turns = [Message(role="system", content=form.system)] if form.system.strip() else []
    return AnalysisRequest(messages=[*turns, Message(role="user", content=form.prompt)], **asked)


def fill(asked: AnalysisRequest) -> Form:
    """The form that would ask for this again. Only the first system and the last user turn fit into it."""
    turns = asked.messages or []
    system = next((m.content for m in turns if m.role == "system"), "")
    user = next((m.content for m in reversed(turns) if m.role == "user"), "")
    voice, reply = asked.verbalise, asked.generate
    return Form(
        mode="raw" if asked.text is not None else "chat",
        pair=asked.pair or "",
        also=",".join(asked.also),
        prompt=asked.text if asked.text is not None else user,
        system=system,
        reply_tokens=str(reply.max_new_tokens if reply else 0),
        positions=asked.positions if isinstance(asked.positions, str) else "all",
        reply_temperature=f"{reply.temperature if reply else 0:g}",
        av_temperature="" if voice.temperature is None else f"{voice.temperature:g}",
        samples=str(voice.samples),
        seed=str(voice.seed),
    )


def place(problems: tuple[FieldError, ...], detail: str, form: Form) -> dict[str, str]:
    """Where each of the server's complaints belongs; what has no field goes to the head of the form."""
    errors: dict[str, str] = {}
    for problem in problems:
        parts = problem.field.split(".")
        paths = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        name = next((PLACES[path] for path in paths if path in PLACES), "form")
        if name == "system" and (form.mode == "raw" or not form.system.strip()):
            name = "prompt"
        if name in ("pair", "also") and not form.pair:
            name = "form"
        errors.setdefault(name, problem.detail)
    return errors or {"form": detail}


def _number(text: str) -> float | None:
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None
