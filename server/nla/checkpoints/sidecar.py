"""One `nla_meta.yaml`, in its old and new spellings, and what the user's file adds to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml

from server.errors import CheckpointError
from server.nla.checkpoints.profile import Profile

SIDECAR = "nla_meta.yaml"
ROLE_NAMES: dict[str, Literal["av", "ar"]] = {
    "av": "av",
    "actor": "av",
    "verbalizer": "av",
    "ar": "ar",
    "critic": "ar",
    "reconstructor": "ar",
}
QUESTIONS = {
    "d_model": "How wide are the activations?",
    "tokens.injection_char": "Which character marks the activation's place in the prompt?",
    "tokens.injection_token_id": "Which token id is the marker's?",
    "tokens.injection_left_neighbor_id": "Which token id stands before the marker?",
    "tokens.injection_right_neighbor_id": "Which token id stands after the marker?",
    "tokens.critic_suffix_ids": "With which token ids does the AR's prompt end?",
}
"""Fields that a sidecar may leave out, with what that leaves open."""


class Sidecar:
    """One `nla_meta.yaml`, with questions whose wrong answers name file, field and cure.

    `answers` fill what it is silent on; they may not contradict it, and may stand for a sidecar that is not there.
    """

    def __init__(
        self, folder: Path, role: Literal["av", "ar"], answers: Mapping[str, Any] | None = None
    ) -> None:
        self.path = folder / SIDECAR
        self.role = role
        self.meta: dict[str, Any] = {}
        if answers and not self.path.exists():
            self.meta = {"kind": "nla_model", "role": role}
        else:
            self.meta = self._read()
        if self.meta.get("kind") != "nla_model":
            self.fail(
                "kind",
                f"is {self.meta.get('kind')!r}, not 'nla_model'",
                "this is not an NLA checkpoint's sidecar",
            )
        if ROLE_NAMES.get(str(self.meta.get("role"))) != role:
            self.fail(
                "role", f"is {self.meta.get('role')!r}, wanted {role!r}", "AV and AR may have been swapped"
            )
        self._fill(self.meta, answers or {}, "")

    def _read(self) -> dict[str, Any]:
        try:
            meta = yaml.safe_load(self.path.read_text())
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise CheckpointError(
                f"{self.path} cannot be read ({error}). An NLA checkpoint folder holds this file; is the path right? "
                f"For a checkpoint without one, NLA_PAIRS_FILE may say all of it under [pair.answers.{self.role}].",
                check="sidecar",
            ) from error
        if not isinstance(meta, dict):
            raise CheckpointError(
                f"{self.path} is not a mapping: copy the sidecar from the release again.", check="sidecar"
            )
        return meta

    def _fill(self, meta: dict[str, Any], answers: Mapping[str, Any], above: str) -> None:
        for key, answer in answers.items():
            said = meta.get(key)
            if isinstance(answer, Mapping) and (said is None or isinstance(said, dict)):
                self._fill(meta.setdefault(key, {}) if said is None else said, answer, f"{above}{key}.")
            elif said is None:
                meta[key] = answer
            elif said != answer:
                self.fail(
                    f"{above}{key}",
                    f"is {said!r}, but NLA_PAIRS_FILE answers {answer!r}",
                    "the file may say only what the sidecar does not: take that answer out",
                )

    def fail(self, field: str, problem: str, cure: str, *, check: str = "sidecar") -> NoReturn:
        raise CheckpointError(f"{self.path}: `{field}` {problem}: {cure}.", check=check)

    def ask(self, field: str, problem: str, question: str, *, check: str = "sidecar") -> NoReturn:
        """Refuse a sidecar that is silent, with the question that it leaves open."""
        raise CheckpointError(
            f"{self.path}: `{field}` {problem}. {question} There is no safe default: ask who made the checkpoint, then "
            f"say it in NLA_PAIRS_FILE, as `{field} = …` under [pair.answers.{self.role}].",
            check=check,
        )

    def get(self, field: str) -> Any:
        value: Any = self.meta
        for key in field.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def need(self, field: str, kind: type) -> Any:
        value = self.get(field)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.ask(field, f"is {value!r}, wanted {kind.__name__}", QUESTIONS.get(field, "What is it?"))
        return value

    def d_model(self) -> int:
        d_model = int(self.need("d_model", int))
        hidden = text_config(self.path.parent).get("hidden_size")
        if hidden != d_model:
            self.fail(
                "d_model",
                f"is {d_model}, but config.json has hidden_size {hidden}",
                "the files are of two models",
                check="shapes",
            )
        return d_model

    def layer(self) -> int:
        """K, from every place where it may stand; they must agree."""
        places = (
            "extraction_layer_index",
            "extraction.layer_index",
            "critic.extraction_layer_index",
            "ar.extraction_layer_index",
            "critic.num_hidden_layers",
            "ar.num_hidden_layers",
        )
        said = {place: self.get(place) for place in places if self.get(place) is not None}
        if not said:
            question = "After which block, counted from 0, is the activation taken: which layer K?"
            self.ask("extraction_layer_index", "is missing", question, check="layer")
        layers = [k for k in said.values() if isinstance(k, int) and not isinstance(k, bool) and k >= 0]
        if len(layers) < len(said) or len(set(layers)) > 1:
            self.fail(
                " / ".join(said),
                f"disagree or are no layers ({said})",
                "K must be one block number",
                check="layer",
            )
        return layers[0]

    def template(self) -> str:
        names = [name for name, role in ROLE_NAMES.items() if role == self.role]
        found = {n: t for n in names if isinstance(t := self.get(f"prompt_templates.{n}"), str)}
        field = f"prompt_templates.{self.role}"
        if not found:
            self.ask(field, "is missing", "With which prompt, to the letter, was it trained?")
        if len(set(found.values())) != 1:
            problem = f"stands more than once and differs ({', '.join(found)})"
            self.fail(field, problem, "the prompt must be the trained one, to the letter")
        return next(iter(found.values()))

    def scale(self, field: str, d_model: int, profile: Profile) -> float:
        value = self.get(field)
        if value == "sqrt_d_model":
            return math.sqrt(d_model)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value <= 0
        ):
            question = (
                "To which L2 norm is the activation rescaled?"
                if profile.injection == "replace_norm"
                else "By which factor is the activation multiplied?"
            )
            self.ask(field, f"is {value!r}", f"{question} A guess gives nonsense.", check="scale")
        return float(value)


def text_config(folder: Path) -> dict[str, Any]:
    """The text model's part of a folder's config.json. Raises CheckpointError."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}). The folder must be an ordinary model folder.", check="files"
        ) from error
    text = config.get("text_config", config) if isinstance(config, dict) else None
    if not isinstance(text, dict):
        raise CheckpointError(
            f"{path} describes no text model. The folder must be an ordinary model folder.", check="files"
        )
    return text
